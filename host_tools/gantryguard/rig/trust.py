"""What a real gantry believes of its console: the checks that the published attacks found missing.

The simulated gantry refuses only what its state machine and mechanics cannot do. Everything below is a check that it does
*not* make (Know Your Enemy, arXiv 1801.05583: the console is trusted, there is no authentication of commands). One record
holds the choices, so that a test can take a single belief away and see the attack fail.

Never checked, whatever this record says: dose and technique. A gantry delivers what was asked for; it has no idea of the
patient. And never modelled: interlocks of the room (door, emergency stop at the table).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trust:
    """One field per belief; True: the gantry acts without checking.

    unprepared: an expose without prepare fires on the last parameters (the prepare step only warms up).
    old_numbers: a frame with an old sequence number is executed (only the last frame is known again, as a retry).
    any_value: fields are taken as they come, inside or outside the range of the link's definition.
    any_kvp: a tube voltage that is no station of the generator runs at the nearest station.
    any_target: the table and the tilt drive towards any position, until the end stop ends it.
    any_speed: the drive tries any speed.
    """

    unprepared: bool = True
    old_numbers: bool = True
    any_value: bool = True
    any_kvp: bool = True
    any_target: bool = True
    any_speed: bool = True


TRUSTING = Trust()
