"""`stagebook demo`: a publisher and a viewer join a stage, then the demo lists the events of both.

The demo is a client: it uses a server over HTTP and WebRTC, as any application does. Its libraries (aiortc, PyAV,
boto3, httpx) are the extra `demo`. Without them, importing this package raises ModuleNotFoundError.
"""

from stagebook.demo.run import run_demo

__all__ = ["run_demo"]
