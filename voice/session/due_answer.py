"""The answer that is owed and cannot start yet: the caller holds the floor, or a response still runs.

the caller's turn is over, or tools have given results ─► owe ─► … nobody speaks … ─► begin
"""

MAX_TOOL_ROUNDS = 8
"""Answers in a row that only follow tools of the service or its MCP servers. The next must do without: the caller has
waited long, and hears what there is to say. After it the agent waits for the caller."""


class DueAnswer:
    """At most one is due: what is owed twice is answered once."""

    def __init__(self) -> None:
        """Nothing is owed."""
        self.is_due = False
        self._may_race = False
        """The client may ask for what is due, not knowing that it comes by itself (contract 4.11)."""
        self._raced_id: str | None = None
        """The response that is that answer."""
        self._rounds = 0

    def start_anew(self) -> None:
        """The caller or the client has said something: tools may be answered again."""
        self._rounds = 0

    def owe(self) -> None:
        """The caller's turn wants an answer."""
        self.is_due = True

    @property
    def is_last_round(self) -> bool:
        """True where the answer is to be given in words, whatever tools could still do."""
        return self._rounds > MAX_TOOL_ROUNDS

    def owe_follow_up(self, *, raced: bool) -> None:
        """The results of tools want one, unless tools have had the word for long. `raced`: a client may ask as well."""
        if not self.is_last_round:
            self._rounds += 1
            self.is_due = True
            self._may_race |= raced

    def begin(self, response_id: str) -> None:
        """A response begins, and answers all that is owed."""
        self._raced_id = response_id if self._may_race else None
        self.forget()

    def forget(self) -> None:
        """Nothing is owed any more."""
        self.is_due = self._may_race = False

    def was_raced_for(self, response_id: str) -> bool:
        """Tell whether a client that asks now asks for what that response is already. True once."""
        is_raced = response_id == self._raced_id
        if is_raced:
            self._raced_id = None
        return is_raced
