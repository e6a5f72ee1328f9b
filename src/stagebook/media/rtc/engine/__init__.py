"""The engine processes: each runs one forwarder, and the pool makes them one media engine.

    server process                                        engine process (one per core that media may use)
      EnginePool -> EngineWorker  == control socket ==>     engine_process -> Forwarder

Commands and replies travel over the control socket as `engine_messages`; facts come back over the same socket.
"""
