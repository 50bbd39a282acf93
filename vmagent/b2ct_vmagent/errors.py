"""The error that the agent raises on purpose."""


class AgentError(Exception):
    """Says in one sentence what is wrong; it is shown without a traceback."""
