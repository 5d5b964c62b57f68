"""The part of the run client that holds a run's processes: standard library only, Python 3.8 and later.

One file, `__main__.py`, is run by whatever interpreter is there (`python -I -S …/_shim/__main__.py VERB …`), where the
run is. An engine needs nothing else on that side than to run a command and to pass bytes:

    launch LAUNCH_JSON [--wait] [--secrets]
                                  start the process that the file describes and hold it to its end; detaches unless
                                  `--wait`, which says `ready` on standard output once it is there; with `--secrets`,
                                  the first line of standard input is a JSON object of variables that are written
                                  nowhere. Does nothing when the rank was launched before
    observe FOLDER                print what is seen of the run in FOLDER, one JSON object (`observe.py`)
    follow FOLDER OFFSETS [--leash]
                                  write the run's stream files from OFFSETS (JSON, name to byte) on, framed (`frames.py`),
                                  as they grow; ends when the run has ended and all is sent; with `--leash`, also at
                                  the end of standard input
    stop FOLDER RUN_ID GRACE      end the run's processes, print what was seen, one JSON object (`stop.py`)
    unpack FOLDER                 make FOLDER from a tar archive on standard input, unless it is there
    pack FOLDER NAME…             write those entries of FOLDER to standard output as a tar archive
    remove FOLDER NAME…           delete those entries of FOLDER

The records in `FOLDER/shim/` (`records.py`) are what a shim leaves behind: whoever asks reads them, so that a run needs
neither its service nor the shim that answers to be the same process twice.
"""
