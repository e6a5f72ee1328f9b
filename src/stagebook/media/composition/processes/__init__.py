"""The processes of compositions: one for each, and the pool in the server that starts them and opens their taps.

server process                                            composition process
  CompositionPool -> CompositionRun
                     == commands, requests ==>              composition_process -> ComposedStage
                     <= facts, ended taps ==
  EnginePool.open_tap -> the engine of a source == media ==> TapReceiver -> ParticipantDecoder -> ComposedProgram
"""
