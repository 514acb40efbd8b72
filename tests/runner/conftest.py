import pytest
from programs import NORMAL, Project


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def normal():
    """The head of a sound program: a model, a guide and data."""
    return NORMAL
