"""The ingest processes: each serves a share of the encoders, and the pool makes them one.

    server process                                              ingest process
      ConnectionAcceptor -> IngestPool -> IngestWorker
                                   == handover socket: accepted connections ==>  ingest_process -> RtmpServer
                                   <= control socket: commands, reports, facts =>

The server process accepts the connections of encoders, counts them, and hands each to one process without reading a
byte of it. So the limits are exact whatever the number of processes, a connection goes to a process that has room, and
an ingest process cannot listen itself. Everything that parses what encoders send runs in the ingest processes.
"""
