"""Stands in for an OpenNebula front-end and its OneGate; answers are made of what real ones answered."""
