"""An HTTP/1.1 connection: from the bytes of a client to calls of the ASGI application, within bounds.

uvicorn's own connection classes have no bound on parsed requests that wait, on the size of a head, on trailers and on
the work per read. This class replaces them; of uvicorn it keeps the ASGI side of a request (`RequestResponseCycle`).
A client needs no token for any of this, so every input has a bound:

    received bytes  ->  head (`request_head`)  ->  body (`body_framing`)  ->  requests, served in order
                        64 KiB, 128 fields         8,192 chunks              8 waiting (`request_pipeline`)

* Reading stops at a limit, and goes on only when everything received was decoded. What is held back is one read of the
  transport (256 KB at most) per connection, and an `InputBudget` for all connections together.
* Decoding stops after STEPS_PER_TURN events and continues in the next turn of the event loop, so that a full buffer of
  tiny requests or chunks does not delay the other connections.
* A request that is not complete in time gets 408. A client that does not read is disconnected.
* A response may be sent before the body has arrived. The rest of the body is discarded, up to DISCARD_LIMIT_BYTES. If
  the connection has to end before that, it is closed in two steps (RFC 9112 section 9.6): a close with unread bytes
  makes the kernel send a reset, and the client may lose the response.
"""

import asyncio
import functools
from typing import Any, cast
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from stagebook.api.asgi import ABORT_EXTENSION, BOUND_OUTPUT_EXTENSION, CUT_EXTENSION, Scope
from stagebook.server.http.connection_flow import HeldInput, InputFlow
from stagebook.server.http.connection_settings import CLOSED, REFUSED_CONNECTIONS, ConnectionSettings
from stagebook.server.http.request_decoder import BodyPart, RequestDecoder
from stagebook.server.http.request_head import HttpRequestError, RequestHead
from stagebook.server.http.request_pipeline import RequestPipeline
from stagebook.server.http.request_timeout import AwaitedInput, RequestTimeout
from stagebook.server.http.response_output import OutputWatch, ResponseTransport, refusal
from stagebook.server.http.websocket_protocol import WebSocketProtocol

STEPS_PER_TURN = 8
DISCARD_LIMIT_BYTES = 2 * 1_024 * 1_024
"""Input that is read only to be discarded. SDKs send a whole request before they read the response."""
_REQUEST_TIMEOUT = 408
_BAD_REQUEST = 400
_SERVICE_UNAVAILABLE = 503

_TOO_MANY = "The server has too many connections or requests."


class HttpConnection(asyncio.Protocol):
    """One HTTP connection. uvicorn creates it, and calls `shutdown` when the server stops."""

    def __init__(
        self,
        *,
        settings: ConnectionSettings,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._settings = settings
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._decoder = RequestDecoder()
        self._held_input = HeldInput(settings.input_budget, self)
        self._discarded_bytes = 0
        self._discards_input = False  # no further request is accepted
        self._is_refused = False  # an error response ends the connection, whatever the client still sends
        self._is_lingering = False
        self._is_decoding_scheduled = False
        self._request_timeout = RequestTimeout(loop=self._loop, request_seconds=settings.request_timeout_seconds)
        self._keep_alive_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timeout of the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # uvicorn only calls `shutdown`
        self._flow = InputFlow(self, self._transport)
        self._responses = ResponseTransport(self, self._transport)
        self._extensions = {
            BOUND_OUTPUT_EXTENSION: self._responses.bound_output,
            ABORT_EXTENSION: self._responses.abort,
        }
        if self._settings.can_cut:
            self._extensions[CUT_EXTENSION] = self._responses.close
        self._pipeline = RequestPipeline(
            transport=self._responses,
            flow=self._flow,
            server_state=self._server_state,
            loop=self._loop,
            on_response=self._on_response_complete,
        )
        self._output_watch = OutputWatch(self._transport, self._loop, self._settings.request_timeout_seconds)
        self._server = get_local_addr(self._transport)
        self._client = get_remote_addr(self._transport)
        self._network = self._settings.connection_counts.enter(self._client[0] if self._client else "")
        self._await(AwaitedInput.FIRST_BYTE)
        limit = self._config.limit_concurrency
        if limit is not None and len(self._server_state.connections) > limit:
            self._settings.idle_connections.close_oldest()
        self._settings.idle_connections.add(self)
        if self._are_connections_above(REFUSED_CONNECTIONS):
            self._settings.refused[CLOSED] += 1
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name of asyncio
        """Notify the requests that are not answered, and release everything."""
        self._server_state.connections.discard(self)
        self._settings.connection_counts.leave(self._network)
        if self._settings.pipeline_turns is not None:
            self._settings.pipeline_turns.withdraw(self)
        self._pipeline.disconnect()
        self._stop_input()
        self._cancel_keep_alive()
        self._output_watch.stop()
        self._flow.resume_writing()  # an application that waits to send notices the end

    def shutdown(self) -> None:
        """Close the connection after the response in progress. uvicorn calls this when the server stops."""
        if self._pipeline.is_answered:
            self._close()
        else:
            self._pipeline.end_after_newest()

    def close_idle(self) -> None:
        """Close the connection, which waits for a request. It counts no more from now on."""
        self._server_state.connections.discard(self)
        if self._transport.get_write_buffer_size():
            # The client has not read the last response, and a close would wait for it.
            self._transport.abort()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection at once. The applications of its requests are notified."""
        self._transport.abort()

    # Input.

    def data_received(self, data: bytes) -> None:
        """Decode the data, as far as the limits allow."""
        if self._discards_input:
            self._discard(len(data))
            return
        self._decoder.receive(data)
        self.decode_input()

    @property
    def holds_input(self) -> bool:
        """Whether received bytes wait to be decoded."""
        return self._decoder.held_bytes > 0

    def schedule_decoding(self) -> None:
        """Decode more of the held input in the next turn of the event loop."""
        if not self._is_decoding_scheduled:
            self._is_decoding_scheduled = True
            self._loop.call_soon(self._decode_scheduled)

    def _decode_scheduled(self) -> None:
        self._is_decoding_scheduled = False
        self.decode_input()

    def decode_input(self) -> None:
        """Decode the held input until it is used up or a limit is reached."""
        try:
            self._decode_some()
        except HttpRequestError as error:
            self._refuse(error.status, error.message)
        if not self._charge():
            self.give_up_input()
        if self._decoder.is_in_request and not self._request_timeout.is_request_awaited:
            self._cancel_keep_alive()
            self._await(AwaitedInput.REQUEST)

    def _charge(self) -> bool:
        """Charge the budget with what the connection holds; return False if that is too much."""
        pipeline, incomplete_bytes = self._pipeline, self._decoder.held_bytes
        return self._held_input.charge(
            incomplete_bytes + pipeline.held_bytes,
            incomplete_bytes=incomplete_bytes if pipeline.is_answered else 0,
        )

    def give_up_input(self) -> None:
        """Refuse the request that is being received, and drop those that wait and the held input."""
        self._pipeline.drop_waiting()
        self._refuse(_SERVICE_UNAVAILABLE, "The server holds too many incomplete requests.")

    def _decode_some(self) -> None:
        decoder, pipeline = self._decoder, self._pipeline
        for _ in range(STEPS_PER_TURN):
            # A response, or the application that takes the body, goes on: see `InputFlow.resume_reading`.
            if pipeline.is_body_full if decoder.is_in_body else pipeline.is_full:
                self._flow.pause_reading()
                return
            # The first condition is true after most requests, and spares a call.
            event = decoder.next_event() if decoder.is_in_request else None
            if event is None:
                self._flow.read_on()
                return
            if isinstance(event, BodyPart):
                self._on_body_part(event)
            elif event.is_websocket:
                self._upgrade_to_websocket(event)
                return
            else:
                self._on_head(event)
        self._flow.pause_reading()
        self.schedule_decoding()

    def _discard(self, size_bytes: int) -> None:
        """Count input that nobody reads. Close the connection above the limit."""
        self._discarded_bytes += size_bytes
        if self._discarded_bytes > DISCARD_LIMIT_BYTES:
            self._close()

    def _stop_input(self) -> None:
        """Accept no further request, and drop the held input."""
        self._discards_input = True
        self._decoder.clear()
        self._held_input.charge(0)
        self._settings.idle_connections.discard(self)
        self._request_timeout.stop()

    # Requests.

    def _on_head(self, head: RequestHead) -> None:
        self._discarded_bytes = 0
        self._settings.idle_connections.discard(self)
        application: Any = self._config.loaded_app
        if self._are_connections_above(0):
            self._settings.refused[_SERVICE_UNAVAILABLE] += 1
            request_id = self._settings.request_ids.next_id()
            application = refusal(_SERVICE_UNAVAILABLE, _TOO_MANY, request_id)
        self._cancel_keep_alive()
        self._pipeline.add(
            self._scope(head),
            application,
            keep_alive=head.keep_alive,
            expects_continue=head.expects_continue,
            head_bytes=head.size_bytes,
        )

    def _are_connections_above(self, margin: int) -> bool:
        """Return whether a further request would be more than `margin` above the limit of connections and requests, or
        the client's network is so much above its share of them."""
        if self._settings.connection_counts.is_above(self._network, margin):
            return True
        limit = self._config.limit_concurrency
        state = self._server_state
        # This connection is in the set already, its request is not.
        return limit is not None and (len(state.connections) > limit + margin or len(state.tasks) >= limit + margin)

    def _scope(self, head: RequestHead) -> Scope:
        path = head.raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.3"},
            "http_version": head.version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "root_path": "",
            "method": head.method,
            "path": unquote(path) if "%" in path else path,
            "raw_path": head.raw_path,
            "query_string": head.query,
            "headers": head.headers,
            "state": self._app_state.copy(),
            "extensions": self._extensions,
        }

    def _on_body_part(self, part: BodyPart) -> None:
        pipeline = self._pipeline
        if pipeline.is_answered:
            self._discard(len(part.data))
        pipeline.add_body(part)
        if part.is_last:
            self._request_timeout.stop()
            if pipeline.is_ending:
                self._stop_input()

    def _on_response_complete(self) -> None:
        """Serve the next request, or wait for it."""
        self._responses.flush()
        self._server_state.total_requests += 1
        pipeline = self._pipeline
        is_body_optional = self._decoder.is_in_body and pipeline.is_newest_served and pipeline.is_continue_offered
        pipeline.release_served()
        self._charge()
        if self._responses.is_closing():
            return
        if is_body_optional:
            # After a final response instead of 100 (Continue), the client may send the body or leave it out
            # (RFC 9110 section 10.1.1): what comes next may be a body or a request.
            self.close_gracefully()
            return
        turns = self._settings.pipeline_turns
        if not pipeline.has_waiting:
            self._keep_alive_timer = self._loop.call_later(self._settings.keep_alive_seconds, self._close)
            if not self._decoder.is_in_body and not self._discards_input:
                self._settings.idle_connections.add(self)
        elif turns is None or turns.take(self):
            pipeline.serve_next()
        self._flow.resume_reading()

    def serve_waiting(self) -> None:
        """Serve the request that has waited the longest, in the turn of this connection (`PipelineTurns`)."""
        if self._pipeline.serve_next():
            self._flow.resume_reading()

    def _refuse(self, status: int, message: str) -> None:
        """Answer the request that is being received with an error, after the responses before it. Then close."""
        self._settings.refused[status] += 1
        is_in_body = self._decoder.is_in_body
        self._is_refused = True
        self._stop_input()
        self._flow.read_on()
        if is_in_body and not self._pipeline.withdraw_newest():
            self.close_gracefully()
            return
        request_id = self._settings.request_ids.next_id()
        self._cancel_keep_alive()
        self._pipeline.add({"method": "GET", "headers": []}, refusal(status, message, request_id), keep_alive=False)

    def _upgrade_to_websocket(self, head: RequestHead) -> None:
        """Pass the connection on. The websocket has limits and timeouts of its own."""
        has_data = self._decoder.held_bytes > 0 or head.content_length != 0
        self._decoder.clear()  # the head is complete, and was not enqueued: there is no body to give up
        if not self._pipeline.is_answered:
            raise HttpRequestError(_BAD_REQUEST, "A websocket cannot begin before the responses to other requests.")
        if self._are_connections_above(0):
            raise HttpRequestError(_SERVICE_UNAVAILABLE, _TOO_MANY)
        if has_data:
            # RFC 6455 section 4.1: a client sends nothing before the response to its handshake.
            raise HttpRequestError(_BAD_REQUEST, "A websocket handshake must not be followed by data.")
        self._stop_input()
        self._cancel_keep_alive()
        self._pipeline.disconnect()
        self._server_state.connections.discard(self)
        protocol = WebSocketProtocol(
            config=self._config, server_state=self._server_state, app_state=self._app_state, _loop=self._loop
        )
        protocol.on_lost = functools.partial(self._settings.connection_counts.leave, self._network)
        protocol.connection_made(self._transport)
        self._transport.set_protocol(protocol)
        protocol.begin(head)

    # Output, and the end of the connection.

    def pause_writing(self) -> None:
        """Make the application wait, and observe whether the client reads."""
        self._flow.pause_writing()
        self._output_watch.start()

    def resume_writing(self) -> None:
        """Let the application continue. After a close, the rest of the buffer still has to be read by the client."""
        if not self._transport.is_closing():
            self._output_watch.stop()
        self._flow.resume_writing()

    @property
    def is_lingering(self) -> bool:
        """Whether the last response was sent, and input is read only to be discarded."""
        return self._is_lingering

    def close_gracefully(self) -> None:
        """Close the connection after what was written, so that a client that is still sending can read it."""
        is_client_sending = self._is_refused or self._decoder.is_in_request
        if self._is_lingering or not is_client_sending or not self._transport.can_write_eof():
            self._close()
            return
        self._is_lingering = True
        self._discarded_bytes = 0
        self._stop_input()
        self._flow.read_on()
        self._transport.write_eof()
        self._await(AwaitedInput.LAST_BYTES)

    def _close(self) -> None:
        """Close the connection after what was written. A client that does not read it is disconnected."""
        is_flushed = not self._transport.get_write_buffer_size()
        self._transport.close()
        if not is_flushed:
            self._output_watch.start()

    # Timeouts.

    def _await(self, awaited: AwaitedInput) -> None:
        self._request_timeout.start(awaited, self._on_request_timeout)

    def _cancel_keep_alive(self) -> None:
        if self._keep_alive_timer is not None:
            self._keep_alive_timer.cancel()
            self._keep_alive_timer = None

    def _on_request_timeout(self, awaited: AwaitedInput) -> None:
        if awaited is AwaitedInput.LAST_BYTES or not self._decoder.is_in_request:
            # A browser that opened a connection in advance does not expect a response.
            self._close()
        elif not self._decoder.is_in_body or awaited is AwaitedInput.LATE_BODY:
            self._refuse(_REQUEST_TIMEOUT, "The request was not complete in time.")
        elif self._pipeline.is_answered:
            self.close_gracefully()
        else:
            self._await(AwaitedInput.LATE_BODY)
