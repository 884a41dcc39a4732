from __future__ import annotations

import json

import pytest

from selfscan.errors import SelfscanError
from selfscan.extras import optional


def test_what_is_installed_is_imported() -> None:
    assert optional("json", extra="none", purpose="to test") is json


def test_what_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(
        SelfscanError,
        match=r"no package absent_package \(wanted to test\); expected .*'some'.*selfscan\[some\]",
    ):
        optional("absent_package.inside", extra="some", purpose="to test")
    with pytest.raises(SelfscanError, match="; build it yourself"):
        optional("absent_package", extra="some", purpose="to test", remedy="build it yourself")
