"""`stagebook demo`: a real publisher and a real viewer on a stage, then what the book says of them.

Everything here is a client: it speaks to a server over HTTP and WebRTC as any application would. Its libraries (aiortc,
PyAV, boto3, httpx) are the `demo` extra; importing this package without them raises ModuleNotFoundError.
"""

from stagebook.demo.run import run_demo

__all__ = ["run_demo"]
