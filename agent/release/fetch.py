"""Fetching a release over HTTPS: resumed where the line was cut, bounded, never redirected off TLS.

Proxies are taken from the environment (``https_proxy``, ``no_proxy``).
"""

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO

from agent.errors import ReleaseError
from agent.release.package import CHUNK_BYTES, digest_of

SILENCE_S = 30.0
"""A server that says nothing for so long is given up, and asked again."""
PAUSE_MAX_S = 60.0
TRIES = 8
"""So often in a row without a single byte, and it is over."""
_LINE = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
"""What a bad line or a server that is going down brings about."""
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class _StaysOnTls(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0917 - urllib's own
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Follow, but not to an address that is not HTTPS."""
        if not newurl.startswith("https://"):
            text = "the server leads to an address that is not HTTPS"
            raise ReleaseError(text)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Fetch:
    """One file to fetch.

    Args:
        url: where it is.
        part: what there is of it, of an earlier try, too.
        sha256: of the whole file.
        limit: it may not be larger, in bytes.
        roots: certificates that the server is trusted by; ``None``: the system's.
        check_space: called with the bytes still to come; raises where there is no room.
        tell: called with the bytes that are there, and those of the whole, 0 where not known.
        sleep: waits between tries.
    """

    def __init__(
        self,
        url: str,
        part: Path,
        *,
        sha256: str,
        limit: int,
        roots: Path | None,
        check_space: Callable[[int], None],
        tell: Callable[[int, int], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = url
        self._part = part
        self._sha256 = sha256
        self._limit = limit
        self._check_space = check_space
        self._tell = tell
        self._sleep = sleep
        try:
            context = ssl.create_default_context(cafile=str(roots) if roots else None)
        except OSError as error:
            msg = f"certificates {roots}: {error}"
            raise ReleaseError(msg) from None
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), _StaysOnTls()
        )

    def run(self) -> None:
        """Return when the file is there, whole and as it was ordered.

        Raises:
            ReleaseError: it cannot be had, is too large, or another file than was ordered.
            OSError: it cannot be written.
        """
        self._part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._part.open("ab+") as file:
            resumed = file.seek(0, 2) > 0
            self._load(file)
            if digest_of(file) == self._sha256:
                return
            if resumed:  # what was there may be of a power cut, or of another file
                file.truncate(0)
                self._load(file)
                if digest_of(file) == self._sha256:
                    return
        self._part.unlink()
        msg = "what the server gave is not the file that was ordered (SHA-256 differs)"
        raise ReleaseError(msg)

    def _load(self, file: BinaryIO) -> None:
        """Append what is missing, in as many tries as it takes."""
        failures = 0
        while True:
            have = file.seek(0, 2)
            try:
                if self._try(file):
                    return
                why = "the line was cut"
            except urllib.error.HTTPError as error:
                if error.code not in _PASSING:
                    msg = f"the server answers {error.code} {error.reason}"
                    raise ReleaseError(msg) from None
                why = f"the server answers {error.code}"
            except (
                urllib.error.URLError,
                http.client.HTTPException,
                ConnectionError,
                TimeoutError,
            ) as error:
                reason = getattr(error, "reason", error)
                if isinstance(reason, ssl.SSLCertVerificationError):
                    msg = f"the server is not to be trusted: {reason.verify_message}"
                    raise ReleaseError(msg) from None
                why = str(reason)
            failures = 0 if file.seek(0, 2) > have else failures + 1
            if failures >= TRIES:
                msg = f"it could not be fetched in {TRIES} tries: {why}"
                raise ReleaseError(msg)
            self._sleep(min(PAUSE_MAX_S, 2.0**failures))

    def _try(self, file: BinaryIO) -> bool:
        """Append what one connection gives; returns whether that was all."""
        have = file.seek(0, 2)
        request = urllib.request.Request(self._url)  # noqa: S310 - HTTPS, as the order's model says
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            answer = self._opener.open(request, timeout=SILENCE_S)
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
                return True  # we have it all, or too much: its hash tells
            raise
        with answer:
            if have and not _goes_on_at(answer, have):
                file.truncate(0)
                have = 0
            length = answer.headers.get("Content-Length")
            whole = have + int(length) if length and length.isdecimal() else 0
            self._check_size(whole)
            self._check_space(whole - have)
            while chunk := answer.read(CHUNK_BYTES):
                have += len(chunk)
                self._check_size(have)
                file.write(chunk)
                self._tell(have, whole)
            file.flush()
        return not whole or have >= whole

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            self._part.unlink(missing_ok=True)
            msg = f"the file is larger than {self._limit // 2**20} MiB"
            raise ReleaseError(msg)


def _goes_on_at(answer: Any, have: int) -> bool:
    said = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range") or "")
    return (
        answer.status == http.HTTPStatus.PARTIAL_CONTENT
        and said is not None
        and (int(said[1]) == have)
    )
