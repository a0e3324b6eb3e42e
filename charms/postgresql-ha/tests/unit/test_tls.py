# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

import cluster
import tls

ME = cluster.Unit("postgresql-ha/0", "10.0.0.1")
MOVED = cluster.Unit("postgresql-ha/0", "fd00::1")


@pytest.fixture(scope="module")
def keys() -> cluster.Keys:
    cert, key = tls.new_ca("postgresql-ha")
    return cluster.Keys(cert, key, "a", "b", "c", "d")


def test_a_certificate_is_for_both_ends_of_this_address(keys: cluster.Keys):
    certificate, key = tls.issue(keys, ME)
    assert tls.is_valid(certificate, key, keys.ca_cert, ME)
    assert not tls.is_valid(certificate, key, keys.ca_cert, MOVED)
    found = x509.load_pem_x509_certificate(certificate.encode())
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_certificates_of_another_authority_or_key_are_replaced(keys: cluster.Keys):
    certificate, key = tls.issue(keys, ME)
    other, other_key = tls.new_ca("postgresql-ha")
    assert not tls.is_valid(certificate, key, other, ME)
    assert not tls.is_valid(certificate, other_key, keys.ca_cert, ME)
    assert not tls.is_valid("", "", keys.ca_cert, ME)
    assert not tls.is_valid("garbled", key, keys.ca_cert, ME)


def test_a_certificate_is_renewed_a_year_before_it_ends(
    keys: cluster.Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tls, "LIFE", tls.RENEW_BEFORE - tls.DAY)
    certificate, key = tls.issue(keys, ME)
    assert not tls.is_valid(certificate, key, keys.ca_cert, ME)


def test_a_certificate_of_a_clock_that_was_ahead_is_replaced(
    keys: cluster.Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tls, "DAY", -tls.DAY)
    certificate, key = tls.issue(keys, ME)
    monkeypatch.undo()
    assert not tls.is_valid(certificate, key, keys.ca_cert, ME)
