"""`stagebook play`: scenarios, in which participants come, publish, watch, fail and leave at given times.

A scenario is a YAML file. `scenario` has its values, `scenario_file` reads and checks it, `schedule` puts its steps in
order of time, and `scenario_run` plays it on a server: as a client of the AWS API, of the participants API for
participants with media, and of the testing API for those without.
"""
