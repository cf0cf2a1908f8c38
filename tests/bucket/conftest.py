import pytest

from agora_analytics.store import BucketStore
from agora_analytics.store.bucket.bucket_store import open_bucket
from agora_analytics.store.bucket.location import BucketLocation
from tests.bucket.sample_calls import Sample


@pytest.fixture
def url(s3) -> str:
    """The URL of a store that does not exist yet, in a bucket that the environment gives access to."""
    return f"{s3.url}/team/calls"


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.fleet)])
def location(request) -> BucketLocation:
    """An empty place: a folder with the semantics of a bucket, and in `nox -s fleet` also a bucket, which is slower."""
    if request.param == "folder":
        folder = request.getfixturevalue("tmp_path") / "bucket"
        return BucketLocation("file", "", folder.as_posix().strip("/"))
    return BucketLocation.parse(request.getfixturevalue("url"))


@pytest.fixture
def store(location) -> BucketStore:
    return open_bucket(location, create=True)


@pytest.fixture
def sample(store) -> Sample:
    return Sample(store)
