"""placeholder"""


class GameSocket: ...


class SessionEnded(Exception): ...
