"""What is wrong with the machine, the settings and the data folder of a server: the checks of `stagebook doctor`.

Each module has one group of checks: a function reads the facts from the machine, another judges them. A judgement takes
its facts as arguments and returns findings, so that it can be tested with any facts. No check changes anything.
"""
