"""A datastore's definition holds no secret."""

from __future__ import annotations

import pytest

from jupyter_mltrain.core.datastore import DatastoreDefinition, check_address, check_datastore, fill
from jupyter_mltrain.errors import InvalidName, UserErrorException

S3 = {"key": "${AWS_ID}", "secret": "${AWS_SECRET}", "client_kwargs": {"endpoint_url": "http://h:9000"}, "anon": False}


def test_variables_stand_for_secrets_and_are_filled_in_late():
    made = check_datastore(DatastoreDefinition("raw", "s3://bucket/${PART}", S3))
    assert made.variables == ("PART", "AWS_ID", "AWS_SECRET")
    assert DatastoreDefinition.from_json(made.to_json()) == made
    filled = fill(made.options, {"AWS_ID": "a", "AWS_SECRET": "b"})
    assert filled == {**S3, "key": "a", "secret": "b"}
    with pytest.raises(UserErrorException, match="without the environment variable AWS_SECRET"):
        fill(made.options, {"AWS_ID": "a"})


@pytest.mark.parametrize(
    "options",
    [
        {"key": "AKIA123"},
        {"secret": "x"},
        {"account_key": "x"},
        {"sas_token": "x"},
        {"client_kwargs": {"aws_session_token": "x"}},
        {"connection_string": "AccountKey=x"},
        {"passwords": ["x"]},
    ],
)
def test_a_secret_that_is_written_out_is_refused(options):
    with pytest.raises(UserErrorException, match="never stored") as caught:
        check_datastore(DatastoreDefinition("raw", "s3://bucket", options))
    assert "${" in caught.value.mend


@pytest.mark.parametrize(
    "url",
    [
        "https://me:pass@host/x",
        "https://h/x?sv=1&sig=abc",
        "https://h/x?X-Amz-Signature=abc",
        "https://h/x?access_token=abc",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(url):
    with pytest.raises(UserErrorException) as caught:
        check_address(url)
    assert "pass" not in caught.value.message
    assert "abc" not in caught.value.message


def test_addresses_that_name_their_secrets_pass():
    for url in ("https://h/x?sig=${SIG}", "https://${USER}:${PASS}@h/x", "https://h/x?v=1", "/data/x"):
        assert check_address(url) == url


def test_names():
    with pytest.raises(InvalidName):
        check_datastore(DatastoreDefinition("a/b", "/x"))
