"""The site file: its model, its loading and its checks."""
