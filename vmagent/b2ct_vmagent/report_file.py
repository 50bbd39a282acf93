"""Tells a file: for monitoring tools that read files, and for whoever wants to see what would be told."""

import json
import os

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import make_folder, write_file
from b2ct_vmagent.reports import News, Order, ReportError


class ReportFile:
    """Writes the newest news as JSON; the file is there whole or not at all."""

    name = "file"
    central = False

    def __init__(self, path: str, uid: str) -> None:
        self._path = path
        self._uid = uid

    def report(self, news: News) -> Order:
        """Write the file.

        Raises:
            ReportError: it cannot be written.
        """
        document = dict(news._asdict(), uid=self._uid, state=news.state.value)
        document["outcome"] = None if news.outcome is None else str(news.outcome)
        try:
            make_folder(os.path.dirname(self._path))
            write_file(self._path, (json.dumps(document, indent=1) + "\n").encode("utf-8"), 0o644)
        except AgentError as error:
            raise ReportError(str(error), refused=True)
        return Order.NONE
