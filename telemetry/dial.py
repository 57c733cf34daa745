"""All that blocks on the way to a broker (DNS, TCP, TLS, WebSocket), off the event loop."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from paho.mqtt import client as paho

from contract.wire import format_time
from telemetry.transport import (
    ConnectOptions,
    LinkError,
    NotAuthorisedError,
    PassingTlsError,
    RefusedError,
    TlsDatesError,
    TlsError,
    TlsOptions,
    UnreachableError,
)

_READ_BYTES = 128
"""Read at once, unless more is asked for: some thirty acknowledgements, 2 ms of the event loop."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_DATES = frozenset({9, 10})
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""
_AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Line:
    """The socket as paho sees it: one system call for many packets, and why it broke.

    While it blocks, :meth:`send` writes through; after ``setblocking(False)`` it only collects,
    and :meth:`flush` writes.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.error: OSError | None = None
        self._sock = sock
        self._received = b""
        self._read = 0
        self._to_send = bytearray()
        self._collect = False
        self._abandoned = False

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes, as ``socket.recv`` does.

        After each portion it says "not now" once, which lets paho return to the event loop.
        """
        if self._read == len(self._received):
            if self._received and self._collect:
                self._received, self._read = b"", 0
                raise BlockingIOError
            self._receive(max(size, _READ_BYTES))
        data = self._received[self._read : self._read + size]
        self._read += len(data)
        return data

    def _receive(self, size: int) -> None:
        try:
            self._received, self._read = self._sock.recv(size), 0
        except _AGAIN:
            raise
        except OSError as error:
            self.error = error
            raise

    def pending(self) -> int:
        """Bytes that can be read although the socket looks idle."""
        rest = len(self._received) - self._read
        return rest or (self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0)

    def send(self, data: bytes | bytearray) -> int:
        """Take all of ``data``; what is in flight is bounded by those who send."""
        if self._abandoned:
            return len(data)
        if self._collect:
            self._to_send += data
        else:
            self._sock.sendall(data)
        return len(data)

    def flush(self) -> bool:
        """Write what was collected; False where the socket takes no more for now.

        A broken line takes everything: the reader will notice.
        """
        while self._to_send:
            try:
                with memoryview(self._to_send) as view:
                    sent = self._sock.send(view)
            except _AGAIN:
                return False
            except OSError as error:
                self.error = self.error or error
                self._to_send.clear()
            else:
                del self._to_send[:sent]
        return True

    def fileno(self) -> int:
        """Descriptor to watch."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - as sockets have it
        """Set the socket's mode, and with it that of :meth:`send`."""
        self._collect = not flag
        self._sock.setblocking(flag)

    def abandon(self) -> None:
        """End the line so that nothing that is still on the way arrives; the reader sees its end.

        Else the kernel would go on trying for minutes, and a CONNECT that arrives late takes the
        session from a newer connection.
        """
        # A TLS socket that is shut down would send the rest in clear text.
        self._abandoned = True
        self._to_send.clear()
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Write what can be written at once, and close."""
        self.flush()
        self._to_send.clear()
        self._sock.close()


@dataclass(frozen=True, slots=True)
class Dialled:
    """A line on which nothing of MQTT was said yet."""

    line: Line
    wire: "paho.SocketLike"
    """What paho is to use: the line, or WebSocket frames on it."""


async def dial(options: ConnectOptions) -> Dialled:
    """Connect in a thread of its own that nothing ever waits for: resolvers can hang for minutes.

    Raises:
        LinkError: there is no connection; the text says why.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Dialled] = loop.create_future()

    def deliver(dialled: Dialled | None, error: LinkError | None) -> None:
        if error is not None and not answer.done():
            answer.set_exception(error)
        elif dialled is not None and not answer.done():
            answer.set_result(dialled)
        elif dialled is not None:
            dialled.line.close()

    def work() -> None:
        dialled = failure = None
        try:
            dialled = _dial(options)
        except LinkError as error:
            failure = error
        try:
            loop.call_soon_threadsafe(deliver, dialled, failure)
        except RuntimeError:  # the loop is closed by now
            if dialled is not None:
                dialled.line.close()

    threading.Thread(target=work, name=f"dial {options.host}", daemon=True).start()
    return await answer


def _dial(options: ConnectOptions) -> Dialled:
    where = f"{options.host}:{options.port}"
    context = _tls_context(options.tls) if options.tls is not None else None
    try:
        sock = socket.create_connection(
            (options.host, options.port), timeout=options.connect_timeout_s
        )
    except (OSError, UnicodeError) as error:
        raise _no_connection(options.host, where, error) from error
    try:
        # Without it an acknowledgement waits 40 ms for company.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname=options.host)
        line = Line(sock)
        return Dialled(line, _framed(line, options))
    except ssl.SSLError as error:
        sock.close()
        raise explain_tls(where, error) from error
    except paho.WebsocketConnectionError as error:
        sock.close()
        msg = f"{where} takes no MQTT over WebSocket at {options.websocket_path}: check the path"
        raise RefusedError(msg) from error
    except OSError as error:
        sock.close()
        msg = f"{where} took the connection and then failed to shake hands: {error}"
        raise UnreachableError(msg) from error


def _framed(line: Line, options: ConnectOptions) -> "paho.SocketLike":
    if options.websocket_path is None:
        return line
    framed = paho._WebsocketWrapper(  # noqa: SLF001 - paho would make it on the event loop's thread
        line,  # type: ignore[arg-type]
        options.host,
        options.port,
        is_ssl=options.tls is not None,
        path=options.websocket_path,
        extra_headers=None,
    )
    framed.pending = line.pending  # type: ignore[method-assign] # its own knows only of TLS
    return framed


def _tls_context(tls: TlsOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except OSError as error:
        msg = f"cannot read the CA certificates {tls.ca}: {_reason(error)}"
        raise TlsError(msg) from error
    if tls.certificate is not None:
        try:
            # An empty password fails on an encrypted key; none would ask on the terminal.
            context.load_cert_chain(tls.certificate, tls.key, password="")
        except OSError as error:
            msg = (
                f"cannot use the client certificate {tls.certificate} with the key {tls.key}: "
                f"{_reason(error)}"
            )
            raise TlsError(msg) from error
    return context


def _no_connection(host: str, where: str, error: Exception) -> UnreachableError:
    match error:
        case socket.gaierror() | UnicodeError():
            msg = f"the name {host} cannot be resolved: {error.args[-1]}"
        case ConnectionRefusedError():
            msg = f"nothing listens at {where}: connection refused"
        case TimeoutError():
            msg = f"no answer from {where}: the connection timed out"
        case _:
            msg = f"no connection to {where}: {error}"
    return UnreachableError(msg)


def explain_tls(where: str, error: ssl.SSLError) -> LinkError:
    """Turn a TLS failure, at the handshake or after it, into a sentence and its class."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_trusted(where, error)
    reason = _reason(error)
    if (refusal := _refusal(where, reason)) is not None:
        return NotAuthorisedError(refusal)
    # How an abrupt end of the handshake is called depends on the version of OpenSSL.
    ended = isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
    if ended or reason == "UNEXPECTED_EOF_WHILE_READING":
        msg = f"{where} ended the TLS handshake: it is going down, or does not speak TLS ({reason})"
        return PassingTlsError(msg)
    if reason == "WRONG_VERSION_NUMBER":
        return TlsError(f"{where} does not speak TLS: wrong port, or TLS is off there ({reason})")
    return TlsError(f"TLS with {where} failed: {reason}")


def _refusal(where: str, reason: str) -> str | None:
    """What the broker has against our certificate; ``None``: something else is wrong."""
    if "CERTIFICATE_REQUIRED" in reason:
        return f"{where} demands a client certificate, and none is set"
    if "ALERT" in reason and any(word in reason for word in ("CERTIFICATE", "UNKNOWN_CA")):
        return f"{where} refused our client certificate: {reason}"
    if "HANDSHAKE_FAILURE" in reason:
        return f"{where} ended the TLS handshake: perhaps it demands a client certificate"
    return None


def _not_trusted(where: str, error: ssl.SSLCertVerificationError) -> TlsError:
    msg = f"the certificate of {where} is not trusted: {error.verify_message}"
    if error.verify_code not in _DATES:
        return TlsError(msg)
    now = format_time(datetime.now(UTC))
    return TlsDatesError(
        f"{msg} by this machine's clock ({now}); where that is wrong, time synchronisation mends it"
    )


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror
    return str(reason or error)
