"""The answer that is owed: when it is, and who may have asked for it at the same time."""

from voice.session.due_answer import MAX_TOOL_ROUNDS, DueAnswer


def test_what_is_owed_twice_is_answered_once():
    due = DueAnswer()
    due.owe()
    due.owe_follow_up(raced=False)
    due.begin("resp_1")
    assert not due.is_due


def test_tools_have_the_word_for_so_many_rounds_and_no_longer():
    due = DueAnswer()
    for number in range(MAX_TOOL_ROUNDS):
        due.owe_follow_up(raced=False)
        assert (due.is_due, due.is_last_round) == (True, False)
        due.begin(f"resp_{number}")
    due.owe_follow_up(raced=False)
    assert (due.is_due, due.is_last_round) == (True, True)
    due.begin("resp_last")
    due.owe_follow_up(raced=False)
    assert not due.is_due
    due.start_anew()
    due.owe_follow_up(raced=False)
    assert (due.is_due, due.is_last_round) == (True, False)


def test_a_client_that_asks_for_what_came_by_itself_is_excused_once():
    due = DueAnswer()
    due.owe_follow_up(raced=True)
    due.begin("resp_1")
    assert not due.was_raced_for("resp_0")
    assert due.was_raced_for("resp_1")
    assert not due.was_raced_for("resp_1")


def test_an_answer_to_the_caller_is_not_raced_for():
    due = DueAnswer()
    due.owe()
    due.begin("resp_1")
    assert not due.was_raced_for("resp_1")


def test_what_was_cancelled_is_not_owed():
    due = DueAnswer()
    due.owe_follow_up(raced=True)
    due.forget()
    due.begin("resp_1")
    assert not due.was_raced_for("resp_1")
