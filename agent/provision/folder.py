"""The folder ``identity/``: which files are the kiosk's identity, whenever the power fails.

    device.key  device.crt  roots.pem       what the kiosk is known by, and whom it trusts
    device.csr                              of a key that hardware keeps: its certificate request
    next.key    next.csr                    a request is open
    next.crt    next-roots.pem              on trial: a certificate, or roots
    next.crt    next-crt-roots.pem          on trial: a certificate and roots, both or none

Which files there are is all the state there is. ``next.crt`` beside ``next.key`` is on trial, and
so is ``next-roots.pem``. Roots that were ordered with a certificate count beside it alone, so that
one file puts both on trial and takes both back. A trial that is won begins to be taken over with
the key: ``next.crt`` without ``next.key`` is the certificate of ``device.key``. No step looks at a
date.

All methods block, and raise ``OSError`` where the disk fails.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from agent.errors import CertificateError
from agent.provision.certificate import (
    MAX_ROOTS,
    Chain,
    is_request_for,
    make_request,
    new_key,
    read_certificates,
    read_request,
    software_key,
    write_certificates,
)
from contract.certificates import CertificateRequested, prove
from telemetry.files import sync_folder, write_atomically
from telemetry.transport import TlsOptions

NAME = "identity"
MAX_FILE_BYTES = 64 * 1024
_ANOTHER_KEY = "it belongs to another key than this kiosk's: was it made from its last request?"


class IdentityFolder:
    """The kiosk's key, certificate and roots. ``state_folder``: the agent's."""

    def __init__(self, state_folder: Path) -> None:
        self.path = path = state_folder / NAME
        self._key, self._certificate = path / "device.key", path / "device.crt"
        self._roots, self._request = path / "roots.pem", path / "device.csr"
        self._next_key, self._next_request = path / "next.key", path / "next.csr"
        self._next_certificate, self._next_roots = path / "next.crt", path / "next-roots.pem"
        self._joint_roots = path / "next-crt-roots.pem"
        self._given_up = False
        """A trial is lost, also where a disk that fails still holds its files."""

    # -- what is there ---------------------------------------------------------------------

    def in_use(self) -> TlsOptions:
        """Return the files to connect with: those on trial, where there is a trial."""
        new = not self._given_up
        if new and self._next_certificate.exists():
            certificate: Path | None = self._next_certificate
            key: Path | None = self._next_key if self._next_key.exists() else self._key
        else:
            given = self._certificate.exists() and self._key.exists()
            certificate, key = (self._certificate, self._key) if given else (None, None)
        roots = (self._roots_on_trial if new else None) or self._roots
        return TlsOptions(roots if roots.exists() else None, certificate, key)

    def on_trial(self) -> bool:
        """Whether something new has to prove itself."""
        if self._taken_over or self._given_up:
            return False
        return self._next_certificate.exists() or self._next_roots.exists()

    def roots_on_trial(self) -> bool:
        """Whether new roots, alone or with a certificate, have to prove themselves."""
        return self.on_trial() and self._roots_on_trial is not None

    @property
    def _roots_on_trial(self) -> Path | None:
        if self._next_certificate.exists() and self._joint_roots.exists():
            return self._joint_roots
        return self._next_roots if self._next_roots.exists() else None

    @property
    def _taken_over(self) -> bool:
        """Whether a trial is won, and its key is in force already."""
        return self._next_certificate.exists() and not self._next_key.exists()

    def chain(self) -> Chain | None:
        """Return the certificate in use. Raises :class:`CertificateError` where it is damaged."""
        certificate = self.in_use().certificate
        return None if certificate is None else Chain.read(_read(certificate))

    def roots(self) -> tuple[x509.Certificate, ...]:
        """Return the roots in use; none: the system's. Raises :class:`CertificateError`."""
        return _read_roots(self.in_use().ca)

    def lasting_roots(self) -> tuple[x509.Certificate, ...]:
        """Return the roots that :meth:`install` leaves in force, as :meth:`roots` does."""
        if self._taken_over:
            return self.roots()
        return _read_roots(self._roots if self._roots.exists() else None)

    @property
    def has_key(self) -> bool:
        """Whether the kiosk has a key."""
        return self._key.exists()

    @property
    def key_is_software(self) -> bool:
        """Whether the key is in the file itself. Raises :class:`CertificateError`."""
        return software_key(_read(self._key)) is not None

    @property
    def request_is_open(self) -> bool:
        """Whether a new key waits for its certificate."""
        return self._next_request.exists()

    def check_key(self, chain: Chain) -> None:
        """Find out whether a certificate belongs to the key in use.

        Raises:
            CertificateError: it does not, or there is no saying.
        """
        key = self.in_use().key or self._key
        request = self._next_request if key == self._next_key else self._request
        if not chain.is_for(_read(key), _read_if_there(request)):
            raise CertificateError(_ANOTHER_KEY)

    # -- by hand ---------------------------------------------------------------------------

    def first_request(self, kiosk: str) -> bytes:
        """Return the request for the kiosk's key, which is made where there is none.

        Raises:
            CertificateError: the key is in hardware, and its request is not beside it.
        """
        if not self._key.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.mkdir(exist_ok=True, mode=0o700)
            sync_folder(self.path.parent)
            write_atomically(self._key, new_key())
        return self._request_of_key(kiosk)

    def install(self, chain: Chain, roots: Sequence[x509.Certificate] | None) -> None:
        """Put a certificate in force at once, and roots where they are given.

        An open request, and what was on trial, is dropped: a person on site has the last word.

        Raises:
            CertificateError: it does not belong to the kiosk's key.
        """
        if not self._key.exists():
            msg = f"{self._key} is missing: kiosk-agent provision request makes it"
            raise CertificateError(msg)
        with contextlib.suppress(CertificateError):  # what is damaged of a renewal goes with it
            self.settle()
        if not chain.is_for(_read(self._key), _read_if_there(self._request)):
            raise CertificateError(_ANOTHER_KEY)
        self._drop_trial()
        self._drop_request()
        if roots is not None:
            write_atomically(self._roots, write_certificates(roots))
        write_atomically(self._certificate, chain.pem)

    # -- renewal ---------------------------------------------------------------------------

    def next_request(self, kiosk: str) -> CertificateRequested:
        """Return the open request; without one, make a key for it.

        Where the kiosk's id is another one by now, the open request's key asks under the new one.
        A key in hardware stays, and its request is given out again.

        Raises:
            CertificateError: there is nothing to renew.
        """
        self.settle()
        if not self._key.exists():
            msg = "this kiosk has no key yet: a person has to provision it on site"
            raise CertificateError(msg)
        present = software_key(_read(self._key))
        if not self._has_next_request(kiosk):
            request = None if present else self._request_of_key(kiosk)
            pem = new_key() if present else _read(self._key)
            write_atomically(self._next_key, pem)
            if request is None:
                key = software_key(pem)
                assert key is not None  # noqa: S101 - made just now
                request = make_request(key, kiosk)
            write_atomically(self._next_request, request)
        request = _read(self._next_request)
        proof = prove(request, present) if present else None
        return CertificateRequested(csr=request.decode(), proof=proof)

    def _has_next_request(self, kiosk: str) -> bool:
        """Whether a request is open; under another id, it is made anew from its key."""
        if not (self._next_key.exists() and self._next_request.exists()):
            return False
        if is_request_for(_read(self._next_request), kiosk):
            return True
        key = software_key(_read(self._next_key))
        if key is None:
            return False
        write_atomically(self._next_request, make_request(key, kiosk))
        return True

    def begin_trial(self, chain: Chain | None, roots: Sequence[x509.Certificate] | None) -> None:
        """Put a certificate, roots, or both on trial: :meth:`in_use` gives them from now on.

        Raises:
            CertificateError: the certificate does not belong to the open request.
        """
        self.settle()
        if chain is not None:
            if not self.request_is_open or not self._next_key.exists():
                msg = "no request is open: send certificate.request, and have its answer signed"
                raise CertificateError(msg)
            if not chain.is_for(_read(self._next_key), _read(self._next_request)):
                msg = "it belongs to another key than the one of the open request"
                raise CertificateError(msg)
        self._drop_trial()  # one that was given up while the disk failed
        if roots is not None:
            place = self._next_roots if chain is None else self._joint_roots
            write_atomically(place, write_certificates(roots))
        if chain is not None:
            write_atomically(self._next_certificate, chain.pem)
        self._given_up = False

    def take_over(self) -> None:
        """Let what was on trial stay. After the key, :meth:`settle` can always finish it."""
        if self._next_certificate.exists() and not self._taken_over:
            _move(self._next_key, self._key)
        self._finish()

    def end_trial(self) -> None:
        """Go back to what was in force before the trial; the request stays open."""
        if not self._taken_over:
            self._given_up = True
            self._drop_trial()

    def settle(self) -> None:
        """Finish what a power cut interrupted; a trial stays one.

        What is open for a key that hardware does not have any more goes: it would put the old key
        in the place of the new one.
        """
        if not self._next_certificate.exists():
            _remove(self._joint_roots)  # one half of an order
        if self._next_key.exists():
            if self._hardware_was_changed():
                self._drop_trial()
                self._drop_request()
            return
        if self._next_certificate.exists():
            chain = Chain.read(_read(self._next_certificate))
            if not chain.is_for(_read(self._key), _read_if_there(self._request)):
                _remove(self._next_certificate)  # somebody took its key away
                return
            self._finish()
        _remove(self._next_request)

    def _hardware_was_changed(self) -> bool:
        """Whether a request is open for another key than the one that hardware keeps now."""
        if not (self._key.exists() and self._request.exists()):  # damaged, it looks like hardware's
            return False
        key = _read(self._key)
        return key != _read(self._next_key) and software_key(key) is None

    def _finish(self) -> None:
        """Take over what belongs to the key that is in force already."""
        if roots := self._roots_on_trial:
            _move(roots, self._roots)
        if self._next_certificate.exists():
            _move(self._next_certificate, self._certificate)
            _remove(self._next_request)

    def _drop_trial(self) -> None:
        _remove(self._next_certificate)
        _remove(self._joint_roots)
        _remove(self._next_roots)

    def _drop_request(self) -> None:
        _remove(self._next_key)
        _remove(self._next_request)

    def _request_of_key(self, kiosk: str) -> bytes:
        key = software_key(_read(self._key))
        if key is not None:
            return make_request(key, kiosk)
        if not self._request.exists():
            msg = (
                f"{self._key} is none that can be read: where hardware keeps it, its request has "
                f"to lie beside it as {self._request.name}"
            )
            raise CertificateError(msg)
        return read_request(_read(self._request)).public_bytes(Encoding.PEM)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        msg = f"{path}: larger than {MAX_FILE_BYTES} bytes"
        raise OSError(msg)
    return content


def _read_roots(path: Path | None) -> tuple[x509.Certificate, ...]:
    return () if path is None else read_certificates(_read(path), limit=MAX_ROOTS)


def _read_if_there(path: Path) -> bytes | None:
    return _read(path) if path.exists() else None


def _move(source: Path, target: Path) -> None:
    """Rename, durable when this returns."""
    source.replace(target)
    sync_folder(target.parent)


def _remove(path: Path) -> None:
    """Remove, durable when this returns; what is not there is fine."""
    if path.exists():
        path.unlink()
        sync_folder(path.parent)
