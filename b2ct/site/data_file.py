"""Reads YAML files other than the site file into their models: manifests, descriptions of images."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from b2ct.errors import Problem, SiteFileError
from b2ct.site.explain import explain_error
from b2ct.site.types import SiteModel
from b2ct.site.yaml import read_yaml

Model = TypeVar("Model", bound=SiteModel)


def read_data_file(text: str, file: str, model: type[Model]) -> Model:
    """Return the model that the YAML ``text`` describes; ``file`` is what problems call it.

    Raises:
        SiteFileError: with every problem and its line.
    """
    document = read_yaml(text, file)
    if not isinstance(document.data, dict):
        problems = document.problems or (Problem(file, 1, "", "the file has to hold keys and their values"),)
        raise SiteFileError(problems, file)
    try:
        result = model.model_validate(document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        found = {explain_error(file, document, document.data, details) for details in errors}
        raise SiteFileError((*document.problems, *found), file) from None
    if document.problems:
        raise SiteFileError(document.problems, file)
    return result
