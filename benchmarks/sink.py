"""An OTLP receiver over gRPC that takes everything and keeps nothing; it prints its port."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc


class Nowhere(grpc.GenericRpcHandler):
    """Answers each OTLP export with an empty response, undecoded."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


def main() -> None:
    """Serve until killed."""
    server = grpc.server(ThreadPoolExecutor(4), handlers=[Nowhere()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
