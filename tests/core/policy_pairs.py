"""The pairs of policies, decided once: what happens when two of them meet, and which tests show it.

Data only. `test_policy_pairs.py` checks that each pair stands here once, and writes `docs/policies.md` from it.
"""

from __future__ import annotations

#: the values of `overlap`; `terminate_other` does as `cancel_other`, and ends the worker process
OVERLAPS = ("skip", "buffer_one", "buffer_all", "cancel_other", "allow_all")

#: each subject: what it is called on the page, and the page that is about it
SUBJECTS = {
    "retry": ("`retry`", "retries.md"),
    "snooze": ("`Snooze`", "retries.md#what-a-job-says-itself"),
    "skip": ('`overlap="skip"`', "overlaps.md"),
    "buffer_one": ('`overlap="buffer_one"`', "overlaps.md"),
    "buffer_all": ('`overlap="buffer_all"`', "overlaps.md"),
    "cancel_other": ('`overlap="cancel_other"` or `"terminate_other"`', "overlaps.md"),
    "allow_all": ('`overlap="allow_all"`', "overlaps.md"),
    "coalesce": ("`coalesce`", "guide.md#policies"),
    "grace": ("`misfire_grace_time`", "guide.md#policies"),
    "expires": ("`expires`", "guide.md#policies"),
    "pause": ("a pause", "pausing.md"),
    "hold": ("a hold", "pausing.md"),
    "backfill": ("a backfill", "backfill.md"),
    "rerun": ("a rerun", "retries.md#once-more-by-hand"),
    "cancel": ("a cancel", "guide.md#policies"),
    "chain": ("`After`", "chains.md"),
    "crash": ("the death of a node", "shared-stores.md"),
    "time-out": ("`timeout`", "timeouts.md"),
    "remove": ("removing the job", "guide.md#policies"),
    "edit": ("editing the job", "guide.md#policies"),
    "shutdown": ("a shutdown", "guide.md#policies"),
}

#: How a sentence begins that needs no test.
APART = "They do not touch each other: "

_ALL = " ".join(OVERLAPS)
_WAITING = "skip buffer_one buffer_all cancel_other"
#: what a run of a chain meets, whatever `overlap` says
_CHAINED = (
    "test_a_busy_job_after_another_one_follows_its_own_overlap "
    "test_a_run_of_a_chain_that_finds_no_place_does_as_its_job_says_of_overlaps "
    "test_a_scheduled_time_goes_first_and_leaves_out_a_run_of_a_chain_that_meets_it "
    "test_what_a_due_time_does_to_a_run_that_was_asked_for"
)

#: subjects (one or more), subjects, what happens, the tests that show it; each of the first meets each of the second
CELLS: list[tuple[str, str, str, str]] = [
    # ------------------------------------------------------------------------------------------------------- retry
    (
        "retry",
        "snooze",
        "A snooze is no try: it uses up nothing of `max_attempts`, before and after failures alike.",
        "test_a_snooze_between_two_failures_is_no_try test_snooze_is_no_try",
    ),
    (
        "retry",
        "skip",
        (
            'The claim of the next due time ends a retry that still waits (`failed` "superseded"), so that no time is '
            "skipped for it; with "
            "`until=None`, and in a job without `retry` (`RetryAfter`), it keeps its place, and due times are skipped for it."
        ),
        (
            "test_without_retry_what_waits_for_another_try_keeps_its_place_and_later_times_are_skipped "
            "test_a_later_time_ends_a_retry_that_waits_and_is_not_skipped_for_it "
            "test_without_until_a_retry_keeps_its_place_and_later_times_are_skipped "
            "test_the_claim_of_a_later_time_ends_a_retry_that_waits"
        ),
    ),
    (
        "retry",
        "buffer_one buffer_all",
        'The retry keeps its place, and due times wait until its last try has ended; with `Retry(until="next")` they supersede it.',
        (
            "test_a_retry_is_not_superseded_by_times_that_wait test_a_retry_that_says_so_is_superseded_all_the_same "
            "test_a_time_that_waits_for_a_try_goes_on_when_that_fails_and_its_retry_ends"
        ),
    ),
    (
        "retry",
        "cancel_other",
        (
            'The claim of the next due time ends a retry that still waits (`failed` "superseded"); one that keeps its '
            'place (`until=None`) is cancelled at once ("replaced"). The due time runs either way.'
        ),
        (
            "test_a_retry_that_waits_is_superseded_whatever_its_job_says_of_overlaps "
            "test_a_run_that_waits_for_another_try_is_replaced_at_once "
            "test_a_run_that_waits_for_another_try_has_its_place_until_it_is_cancelled"
        ),
    ),
    (
        "retry",
        "allow_all",
        (
            "A due time runs beside a try that is under way; its claim ends a retry that still waits, though there is "
            "room for both."
        ),
        (
            "test_a_retry_that_waits_is_superseded_whatever_its_job_says_of_overlaps "
            "test_it_ends_as_well_where_there_is_room_for_both"
        ),
    ),
    (
        "retry",
        "coalesce",
        (
            "The run that stands for merged times is tried again, and the record of the others stays; times that run one "
            "after another "
            "(`coalesce=False`) are tried again when all of them have had their turn."
        ),
        (
            "test_a_retry_of_merged_times_leaves_their_record_alone "
            "test_missed_times_that_fail_together_are_tried_again_one_after_another"
        ),
    ),
    (
        "retry",
        "grace expires",
        "Only the first start of a scheduled time may be too late; a later try is bounded by the `timeout` of its `Retry` alone.",
        (
            "test_only_the_first_start_of_a_scheduled_time_may_come_too_late test_whatever_has_waited_is_never_too_late "
            "test_a_retry_may_start_after_the_run_would_have_expired"
        ),
    ),
    (
        "retry",
        "pause hold",
        "The retry waits until its job goes on; its deadline goes on meanwhile.",
        (
            "test_a_paused_job_starts_no_retry_and_its_deadline_goes_on "
            "test_what_waits_by_itself_goes_on_with_its_job_that_was_paused_or_on_hold "
            "test_what_waits_by_itself_starts_when_its_job_goes_on_and_as_that_was_edited"
        ),
    ),
    (
        "retry",
        "backfill",
        "A backfilled run that fails is tried again, its tries begin at 0, and no scheduled time supersedes it.",
        "test_a_backfilled_run_is_tried_again_and_superseded_by_no_scheduled_time",
    ),
    (
        "retry",
        "rerun",
        "The tries of a rerun begin at 0, its deadline counts from the request, and no scheduled time supersedes it.",
        (
            "test_a_run_that_has_ended_is_executed_once_more_in_its_record "
            "test_the_deadline_of_a_rerun_is_counted_from_the_request "
            "test_whatever_waits_and_is_no_retry_is_superseded_by_no_later_time"
        ),
    ),
    (
        "retry",
        "cancel",
        "A retry that waits is cancelled at once; a try under way that was asked to stop is followed by no other one.",
        (
            "test_a_waiting_retry_can_be_cancelled_and_goes_with_its_job "
            "test_a_run_that_somebody_has_asked_to_stop_is_not_given_back_for_another_try "
            "test_what_has_failed_and_somebody_has_asked_to_stop_is_cancelled"
        ),
    ),
    (
        "retry",
        "chain",
        "The end of the last try starts the jobs after it, once; a retry that was superseded has failed.",
        (
            "test_only_the_last_try_counts test_a_retry_starts_nothing_until_it_has_ended "
            "test_a_retry_that_a_later_time_ends_has_failed"
        ),
    ),
    (
        "retry",
        "crash",
        "The death of a node is a failed try, and the next one waits as after a failure; a retry that waits is taken by any node.",
        (
            "test_after_the_death_of_its_node_a_run_is_tried_again_with_the_wait_of_a_retry "
            "test_a_retry_outlives_the_node_that_has_failed test_whatever_waits_is_carried_out_by_another_node_when_its_own_is_gone"
        ),
    ),
    (
        "retry",
        "time-out",
        "A time-out is a failed try, and is tried again where `on` and `not_on` mean time-outs; each try has its whole time.",
        (
            "test_a_run_that_takes_too_long_is_tried_again test_a_time_out_is_tried_again_where_that_is_among_the_errors "
            "test_the_time_of_whatever_has_waited_begins_with_its_start"
        ),
    ),
    (
        "retry",
        "remove",
        (
            'A retry that waits is cancelled with its job ("job removed"); a try under way that fails then is the last one: '
            "the run ends as that has, `failed` or `timed_out`."
        ),
        (
            "test_a_run_of_a_removed_job_that_was_to_be_tried_again_ends_as_its_last_try "
            "test_a_failed_run_whose_job_was_removed_meanwhile_is_not_given_back "
            "test_whatever_waits_is_cancelled_with_its_job test_the_waiting_runs_of_a_removed_job_are_cancelled_with_it"
        ),
    ),
    (
        "retry",
        "edit",
        (
            "The next try is that of the job as it was edited. Without `retry` from then on, the retry that waits keeps "
            "its place, and due times follow `overlap`; so does the new time of a job that is added again after its schedule "
            "was over."
        ),
        (
            "test_whatever_waits_is_called_as_its_job_was_edited_meanwhile "
            "test_what_waits_by_itself_starts_when_its_job_goes_on_and_as_that_was_edited "
            "test_without_retry_what_waits_for_another_try_keeps_its_place_and_later_times_are_skipped "
            "test_a_job_that_is_added_again_while_a_retry_of_it_waits_is_what_that_calls"
        ),
    ),
    (
        "retry",
        "shutdown",
        (
            "A retry that waits is taken by another node, or after the next start; in memory it is cancelled. A try that a "
            "shutdown stops "
            'is "given back", and counts for nothing.'
        ),
        (
            "test_whatever_waits_is_carried_out_by_another_node_when_its_own_is_gone "
            "test_what_waits_in_memory_is_cancelled_by_a_shutdown "
            "test_a_run_that_a_shutdown_stops_is_left_to_other_nodes"
        ),
    ),
    # ------------------------------------------------------------------------------------------------------ snooze
    (
        "snooze",
        "skip",
        "A snoozed run keeps its place, and due times are skipped for it.",
        "test_what_a_due_time_does_to_a_snoozed_run",
    ),
    (
        "snooze",
        "buffer_one buffer_all",
        "A snoozed run keeps its place, and due times wait until it has ended.",
        "test_what_a_due_time_does_to_a_snoozed_run test_a_snoozed_run_keeps_its_place_and_the_next_time_waits",
    ),
    (
        "snooze",
        "cancel_other",
        'A snoozed run is cancelled at once ("replaced"), and the due time runs.',
        "test_what_a_due_time_does_to_a_snoozed_run",
    ),
    (
        "snooze",
        "allow_all",
        "The due time runs, and the snoozed run goes on waiting.",
        "test_what_a_due_time_does_to_a_snoozed_run",
    ),
    (
        "snooze",
        "coalesce",
        APART + "a snooze has no other nominal time, and times that were merged before stay in their record.",
        "",
    ),
    (
        "snooze",
        "grace expires",
        "Only the first start may be too late: a run that was snoozed is called again however late that is.",
        "test_whatever_has_waited_is_never_too_late test_only_the_first_start_of_a_scheduled_time_may_come_too_late",
    ),
    (
        "snooze",
        "pause hold",
        "The run is called again when its job goes on.",
        (
            "test_what_waits_by_itself_goes_on_with_its_job_that_was_paused_or_on_hold "
            "test_what_waits_by_itself_starts_when_its_job_goes_on_and_as_that_was_edited"
        ),
    ),
    (
        "snooze",
        "backfill",
        "A snoozed run has not ended, so a backfill leaves it alone, also with `only_missing=False`.",
        "test_what_has_not_ended_is_left_alone",
    ),
    (
        "snooze",
        "rerun",
        "A snoozed run has not ended, so a rerun of it is refused; a rerun may be snoozed as any run may.",
        "test_a_rerun_of_a_run_that_waits_is_refused_and_a_rerun_may_be_snoozed",
    ),
    (
        "snooze",
        "cancel",
        "A snoozed run is cancelled at once; one that was asked to stop before it raised `Snooze` is cancelled, too.",
        (
            "test_whatever_waits_is_cancelled_at_once_and_not_called test_what_is_snoozed_and_asked_to_stop_is_cancelled "
            "test_a_waiting_run_is_cancelled_at_once"
        ),
    ),
    (
        "snooze",
        "chain",
        "The jobs after it start when the run has ended, once, and not when it is snoozed.",
        "test_a_snoozed_run_starts_the_job_after_it_when_it_has_ended_and_once",
    ),
    (
        "snooze",
        "crash",
        (
            "A snoozed run has no node: any takes it when its time has come. If its node dies before `Snooze` is written, "
            "that is a death."
        ),
        "test_whatever_waits_is_carried_out_by_another_node_when_its_own_is_gone test_a_waiting_run_is_no_claim_that_is_rescued",
    ),
    (
        "snooze",
        "time-out",
        "Each call has its whole time, and the time that a run is snoozed does not count.",
        "test_each_call_of_a_snoozed_run_has_its_whole_time test_the_time_of_whatever_has_waited_begins_with_its_start",
    ),
    (
        "snooze",
        "remove",
        'A snoozed run is cancelled with its job ("job removed"), and so is one that snoozes after that.',
        (
            "test_a_run_of_a_removed_job_that_was_to_be_tried_again_ends_as_its_last_try "
            "test_whatever_waits_is_cancelled_with_its_job test_the_waiting_runs_of_a_removed_job_are_cancelled_with_it"
        ),
    ),
    (
        "snooze",
        "edit",
        "The next call is that of the job as it was edited.",
        (
            "test_whatever_waits_is_called_as_its_job_was_edited_meanwhile "
            "test_what_waits_by_itself_starts_when_its_job_goes_on_and_as_that_was_edited"
        ),
    ),
    (
        "snooze",
        "shutdown",
        "A snoozed run is taken by another node, or after the next start; in memory it is cancelled.",
        (
            "test_whatever_waits_is_carried_out_by_another_node_when_its_own_is_gone "
            "test_what_waits_in_memory_is_cancelled_by_a_shutdown"
        ),
    ),
    # ---------------------------------------------------------------------------------------------------- overlaps
    (
        "skip",
        "coalesce",
        (
            "Times that an outage has left and that find no place are one `skipped` record, whatever `coalesce` says."
        ),
        (
            "test_what_becomes_of_a_due_job "
            "test_times_of_an_outage_that_find_no_place_are_one_record_whatever_the_job_says_of_them"
        ),
    ),
    (
        "buffer_one cancel_other",
        "coalesce",
        "Of the times that have waited for a place only the newest runs, whatever `coalesce` says; that is about outages.",
        "test_only_the_newest_time_runs_that_has_waited_whatever_coalesce_says_of_outages",
    ),
    (
        "buffer_all",
        "coalesce",
        (
            "`coalesce` given beside it is refused, and a default is ignored: every owed time runs, the oldest first, also "
            "after an outage."
        ),
        "test_what_makes_no_sense_is_refused test_with_buffer_all_every_time_runs_the_oldest_first",
    ),
    (
        "allow_all",
        "coalesce",
        ("Times that an outage has left are merged as ever; what is under way never keeps one out."),
        ("test_after_an_outage_times_are_merged_and_judged_as_ever_where_there_is_no_limit"),
    ),
    (
        "skip",
        "grace",
        "What finds no place is skipped, however late it is; what finds one is judged by its due time.",
        "test_what_becomes_of_a_due_job test_times_of_an_outage_that_find_no_place_are_one_record_whatever_the_job_says_of_them",
    ),
    (
        "allow_all",
        "grace",
        "Each due time is judged by itself, as nothing waits for a place.",
        "test_after_an_outage_times_are_merged_and_judged_as_ever_where_there_is_no_limit",
    ),
    (
        "buffer_one buffer_all cancel_other",
        "grace",
        "A time that has waited for a place is late from the moment at which one came free; an outage after that counts.",
        (
            "test_what_has_waited_for_room_is_late_since_a_place_came_free test_a_time_that_has_waited_is_not_too_late_for_that "
            "test_an_outage_after_that_counts_for_the_times_that_were_due_meanwhile"
        ),
    ),
    (
        "skip allow_all",
        "expires",
        "A claimed run that waits for a worker for longer than `expires` is missed; no due time waits for a place.",
        "test_a_run_that_waited_too_long_in_a_queue_is_not_started test_there_is_always_room_with_allow_all",
    ),
    (
        "buffer_one buffer_all cancel_other",
        "expires",
        'It counts from the due time: one that has waited for longer when its turn comes is `missed` ("expired").',
        "test_expires_bounds_what_waits_from_its_due_time_on",
    ),
    (
        "skip allow_all",
        "pause hold",
        "Nothing becomes due, so nothing is skipped for a place: the times are one record of the pause; what runs goes on.",
        (
            "test_what_a_pause_leaves_out_is_one_record_that_names_the_pause "
            "test_a_run_under_way_goes_on_its_time_too_and_can_be_cancelled_while_its_job_is_paused"
        ),
    ),
    (
        "buffer_one buffer_all cancel_other",
        "pause hold",
        'What has waited for a place does not start any more: it is in the record of the pause (`skipped` "paused", "on hold").',
        (
            "test_a_time_that_has_waited_for_room_is_left_out_by_a_pause_or_a_hold "
            "test_a_paused_job_starts_nothing_that_has_waited"
        ),
    ),
    (
        "skip buffer_one buffer_all cancel_other",
        "backfill",
        (
            "A backfilled run waits for a free place, and the schedule goes first; a due time that meets one under way "
            "waits, as with `buffer_one`, and is never skipped for it."
        ),
        (
            "test_what_was_asked_for_waits_for_a_free_place_and_hinders_nobody "
            "test_a_scheduled_time_waits_for_a_backfilled_run_and_is_never_skipped_for_it "
            "test_what_a_due_time_does_to_a_run_that_was_asked_for"
        ),
    ),
    (
        "skip buffer_one buffer_all cancel_other",
        "rerun",
        (
            "A rerun waits for a free place and keeps none; scheduled times go first. Under way it takes a place like "
            "others: a due time is skipped, waits, or replaces it."
        ),
        (
            "test_what_was_asked_for_waits_for_a_free_place_and_hinders_nobody "
            "test_what_a_due_time_does_to_a_run_that_was_asked_for test_a_waiting_retry_keeps_its_place_and_others_do_not"
        ),
    ),
    (
        "skip",
        "chain",
        (
            'A run of a chain whose job is busy when its time comes is `skipped` "max_instances", and starts nothing; scheduled '
            "times go first. Under way it takes a place like others."
        ),
        _CHAINED,
    ),
    (
        "buffer_one",
        "chain",
        (
            "Of the runs of a chain whose job is busy the newest waits for a free place and keeps none, the others are "
            '`skipped` "coalesced"; scheduled times go first. Under way it takes a place like others.'
        ),
        _CHAINED,
    ),
    (
        "buffer_all",
        "chain",
        (
            "A run of a chain whose job is busy waits for a free place and keeps none; scheduled times go first. Under way it "
            "takes a place like others."
        ),
        f"{_CHAINED} test_a_run_of_a_chain_waits_for_a_free_place_and_keeps_none",
    ),
    (
        "cancel_other",
        "chain",
        (
            "Of the runs of a chain whose job is busy the newest waits, as with `buffer_one`, and the oldest run is asked once "
            "to make room; scheduled times go first. Under way it is replaced like others."
        ),
        (
            f"{_CHAINED} test_a_run_that_does_not_stop_for_a_run_of_a_chain_is_asked_once_and_the_newest_waits "
            "test_a_try_that_waits_makes_room_for_a_run_of_a_chain_at_once"
        ),
    ),
    (
        "allow_all",
        "backfill rerun chain",
        "It starts beside whatever is under way: there is always a place.",
        "test_what_was_asked_for_finds_a_place_with_allow_all",
    ),
    (
        "skip",
        "cancel",
        "A run that was asked to stop keeps its place until it has ended, and a waiting one gives it up at once.",
        "test_a_cancelled_retry_gives_up_its_place test_a_run_under_way_is_asked_to_stop",
    ),
    (
        "buffer_one buffer_all",
        "cancel",
        ("The time that waits starts when the run that was asked to stop has ended."),
        ("test_a_time_that_waits_for_room_starts_when_the_run_before_it_is_cancelled"),
    ),
    (
        "cancel_other",
        "cancel",
        (
            'The due time cancels by itself ("replaced"): it asks the oldest run once, and waits until that has ended; '
            "`terminate_other` ends the worker process at once."
        ),
        (
            "test_with_cancel_other_the_oldest_run_is_asked_once_and_the_time_runs_in_its_place "
            "test_a_run_that_does_not_stop_is_asked_once_and_keeps_its_place "
            "test_a_worker_is_ended_whose_run_is_to_make_room"
        ),
    ),
    ("allow_all", "cancel", APART + "there is no place that a cancel could free.", ""),
    (
        "skip",
        "crash",
        (
            "The run of a dead node keeps its place until another one has taken it over and it has ended: due times are "
            "skipped for it."
        ),
        ("test_what_a_due_time_does_to_the_run_of_a_node_that_has_died"),
    ),
    (
        "buffer_one buffer_all",
        "crash",
        (
            "The run of a dead node keeps its place until another one has taken it over and it has ended: due times wait "
            "for that."
        ),
        (
            "test_what_a_due_time_does_to_the_run_of_a_node_that_has_died "
            "test_a_job_that_waits_goes_on_when_a_rescue_ends_the_run"
        ),
    ),
    (
        "cancel_other",
        "crash",
        (
            'A due time asks the run of a dead node to stop: it is cancelled ("replaced") when the death is noticed, not '
            "executed again, and the time runs then."
        ),
        ("test_what_a_due_time_does_to_the_run_of_a_node_that_has_died"),
    ),
    (
        "allow_all",
        "crash",
        ("The run of a dead node is taken over as ever, and due times run beside it."),
        ("test_what_a_due_time_does_to_the_run_of_a_node_that_has_died"),
    ),
    (
        _WAITING,
        "time-out",
        "The place comes free when the run has ended: at its time where it can be stopped, else when it returns.",
        (
            "test_a_place_comes_free_when_the_time_of_a_run_is_over "
            "test_a_run_that_goes_on_after_its_time_keeps_its_place_and_ends_as_timed_out"
        ),
    ),
    (
        "allow_all",
        "time-out",
        "Each of the runs has its own time.",
        "test_a_place_comes_free_when_the_time_of_a_run_is_over",
    ),
    (
        "skip allow_all",
        "remove",
        "What is under way ends; it counts for `max_instances` of a job that is added under this id meanwhile.",
        "test_a_removed_job_that_is_added_again_counts_the_runs_that_still_go_on",
    ),
    (
        "buffer_one buffer_all cancel_other",
        "remove",
        "A time that waits for a place goes with its job and leaves no record; what is under way ends.",
        "test_a_time_that_waits_for_room_goes_with_its_job_and_the_run_ends",
    ),
    (
        "skip cancel_other allow_all",
        "edit",
        (
            "The value that the job has when a time is due decides; combinations that make no sense are refused by the "
            "edit."
        ),
        ("test_an_edit_of_overlap_counts_for_the_next_due_time test_so_it_is_when_a_job_is_changed"),
    ),
    (
        "buffer_one buffer_all",
        "edit",
        (
            "The value that the job has when a time is due decides. A time that waits already waits until a place is "
            "free, or follows the new value: it is skipped, replaces, or runs at once. With another schedule, or another next "
            'time, it is `skipped` "rescheduled".'
        ),
        (
            "test_a_time_that_waits_for_room_follows_the_value_that_its_job_is_given test_so_it_is_when_a_job_is_changed "
            "test_times_that_wait_for_room_have_one_record_when_their_job_is_given_other_ones"
        ),
    ),
    (
        "skip allow_all",
        "shutdown",
        "Nothing is claimed during a shutdown, so no time is skipped for it; what is due is owed to the next start.",
        "test_after_the_shutdown_nothing_is_claimed_and_a_second_one_says_so",
    ),
    (
        "buffer_one buffer_all cancel_other",
        "shutdown",
        "A time that waits for a place is kept by its job in the store, and runs after the next start or on another node.",
        "test_a_time_that_waits_for_room_is_there_after_a_shutdown",
    ),
    # --------------------------------------------------------------------------------- coalesce, grace and expires
    (
        "coalesce",
        "grace",
        (
            "The newest of the owed times decides: in time, it runs and all others are merged; too late, all are one "
            "`missed` record. With `coalesce=False` those that are too late are one record, and the rest runs."
        ),
        (
            "test_what_becomes_of_a_due_job "
            "test_of_several_times_the_latest_runs_up_to_the_last_microsecond_of_the_grace_time "
            "test_times_that_are_too_late_are_one_record_whatever_lies_between"
        ),
    ),
    (
        "coalesce",
        "expires",
        ("`expires` judges the one run of merged times, from the due time of the newest."),
        (
            "test_merged_times_expire_from_the_due_time_of_the_newest test_what_a_run_has_waited_counts_from_its_due_time"
        ),
    ),
    (
        "grace",
        "expires",
        "The grace time judges when a time is claimed, `expires` when its run starts: a run has to be in time for both.",
        "test_the_grace_time_counts_from_the_due_time test_a_run_that_waited_too_long_in_a_queue_is_not_started",
    ),
    (
        "coalesce grace expires",
        "pause hold",
        (
            'What a pause leaves out is one record (`skipped` "paused", "on hold"), whatever these say: it is neither merged '
            "nor missed."
        ),
        "test_what_a_pause_leaves_out_is_one_record_that_names_the_pause",
    ),
    (
        "coalesce",
        "backfill",
        (
            "A time that was merged is missing: a backfill takes it out of the record of several and runs it by itself; it "
            "merges nothing."
        ),
        "test_a_time_that_the_schedule_has_left_out_is_missing test_r4_a_time_is_taken_out_of_a_record_of_several",
    ),
    (
        "grace expires",
        "backfill",
        "A time that was missed is missing: a backfill runs it, and nothing is too late for it.",
        "test_a_missed_time_is_missing test_whatever_has_waited_is_never_too_late",
    ),
    (
        "coalesce",
        "rerun",
        "A time that was merged can be run once more: it is taken out of the record of several.",
        "test_one_of_several_times_is_found_and_run_once_more",
    ),
    (
        "grace expires",
        "rerun",
        "Nothing is too late for a rerun.",
        "test_whatever_has_waited_is_never_too_late",
    ),
    (
        "coalesce",
        "cancel",
        "A time that was cancelled ahead keeps its own record, and is in none of merged times.",
        "test_a_time_that_was_cancelled_ahead_is_in_no_record_of_merged_times",
    ),
    (
        "grace expires",
        "cancel",
        APART + "what was cancelled is not judged, and what is too late has ended.",
        "",
    ),
    (
        "coalesce",
        "chain",
        "The run that stands for merged times starts the jobs after it once; the merged times start nothing.",
        "test_times_that_were_missed_or_merged_start_no_job_after_them",
    ),
    (
        "grace expires",
        "chain",
        "A time that was missed starts no job; a run of a chain itself is never too late.",
        "test_times_that_were_missed_or_merged_start_no_job_after_them test_whatever_has_waited_is_never_too_late",
    ),
    (
        "coalesce",
        "crash",
        (
            "Of a group of times that run one after another, those that a dead node has not ended are taken over together, "
            "in their order."
        ),
        "test_rescued_runs_of_one_job_are_executed_one_after_another test_runs_of_one_job_are_rescued_together_or_not_at_all",
    ),
    (
        "grace expires",
        "crash",
        "Nothing is too late for a run that was claimed by a node which has died.",
        "test_the_run_of_a_dead_node_is_not_too_late",
    ),
    (
        "coalesce",
        "time-out",
        "Each run of a group has its own time.",
        "test_each_member_of_a_group_has_its_own_time",
    ),
    (
        "grace expires",
        "time-out",
        APART + "they judge the start, `timeout` counts from it.",
        "",
    ),
    (
        "coalesce grace expires",
        "remove",
        APART + "times that a removed job owed are neither run nor recorded.",
        "",
    ),
    (
        "coalesce",
        "edit",
        "The edit counts at once, for times that are owed already, too.",
        "test_edits_say_whether_times_that_are_owed_already_are_merged",
    ),
    (
        "grace expires",
        "edit",
        "The edit counts at once, for times that are owed already, too.",
        "test_edits_say_what_is_too_late_also_of_times_that_are_owed_already",
    ),
    (
        "coalesce",
        "shutdown",
        "Times that come while nothing runs are owed at the next start, and merged or run one after another.",
        "test_missed_times_become_one_run_and_one_record test_all_missed_times_run_in_order_in_groups_of_a_hundred",
    ),
    (
        "grace expires",
        "shutdown",
        "Times that come while nothing runs are judged at the next start, from their due times on.",
        "test_what_is_too_late_is_recorded_and_announced_with_its_count test_what_a_run_has_waited_counts_from_its_due_time",
    ),
    # ------------------------------------------------------------------------------------------------ pause, hold
    (
        "pause",
        "hold",
        "A job that is paused stays paused when the hold is released, and one that is on hold is not resumed before.",
        "test_jobs_are_put_on_hold_and_released",
    ),
    (
        "pause hold",
        "backfill",
        "A backfill may be asked for, and its runs wait until the job goes on; what the pause has left out is missing then.",
        (
            "test_what_waits_by_itself_goes_on_with_its_job_that_was_paused_or_on_hold "
            "test_a_paused_job_starts_none_of_them_until_it_is_resumed "
            "test_a_job_on_hold_starts_none_of_them_until_it_is_released "
            "test_what_a_pause_has_left_out_runs_and_keeps_its_origin test_a_paused_job_starts_none_of_them"
        ),
    ),
    (
        "pause hold",
        "rerun",
        "The rerun starts, as `run_job()` does, and the job stays as it is.",
        (
            "test_what_somebody_has_asked_for_starts_though_its_job_is_paused_or_on_hold "
            "test_while_its_job_is_paused_only_what_was_asked_for_starts"
        ),
    ),
    (
        "pause hold",
        "cancel",
        "What runs or waits can be cancelled as ever.",
        "test_a_run_under_way_goes_on_its_time_too_and_can_be_cancelled_while_its_job_is_paused",
    ),
    (
        "pause hold",
        "chain",
        (
            'The end of its parent leaves a record at the job (`skipped` "paused", "on hold"); what waits already waits '
            "until it goes on."
        ),
        (
            "test_a_chained_job_that_is_paused_or_on_hold_leaves_a_record_that_says_so "
            "test_what_waits_by_itself_goes_on_with_its_job_that_was_paused_or_on_hold "
            "test_a_job_that_is_paused_meanwhile_leaves_a_record_and_what_waits_stays"
        ),
    ),
    (
        "pause hold",
        "crash",
        "The run of a dead node is taken over and executed all the same: it was under way.",
        (
            "test_the_run_of_a_dead_node_is_executed_though_its_job_is_paused_or_on_hold "
            "test_a_run_is_taken_over_though_its_job_was_paused_and_with_what_it_was_edited_to"
        ),
    ),
    (
        "pause hold",
        "time-out",
        "What is under way goes on, and so does its time.",
        "test_a_run_under_way_goes_on_its_time_too_and_can_be_cancelled_while_its_job_is_paused",
    ),
    (
        "pause hold",
        "remove",
        "The job goes; what it has left out leaves no record.",
        "test_a_paused_job_that_is_removed_leaves_no_record_of_the_pause",
    ),
    (
        "pause",
        "edit",
        (
            "The edit is stored, and the job stays paused; only a next time or another schedule (`reschedule_job()`) that it "
            "is given resumes it; what it has left out of the schedule that it had is recorded then."
        ),
        (
            "test_a_paused_job_that_is_edited_stays_paused test_a_next_time_or_another_trigger_resumes_a_paused_job "
            "test_replacing_a_job_keeps_a_pause test_a_paused_job_that_an_edit_lets_go_on_leaves_one_record"
        ),
    ),
    (
        "hold",
        "edit",
        (
            "The edit is stored, and the job stays on hold; with a next time or another trigger that it is given it goes "
            "on when it is released."
        ),
        (
            "test_a_paused_job_that_is_edited_stays_paused "
            "test_a_job_on_hold_stays_so_whatever_time_it_is_given_and_goes_on_with_that"
        ),
    ),
    (
        "pause hold",
        "shutdown",
        "It is kept in the store: the job is still paused after the next start.",
        "test_a_pause_outlives_a_shutdown",
    ),
    # ---------------------------------------------------------------------------------------------------- backfill
    (
        "backfill",
        "rerun",
        "Whichever comes first opens the record: a backfill leaves what has not ended alone, and a rerun of that is refused.",
        "test_a_backfill_leaves_a_run_alone_that_is_opened_already_and_a_rerun_is_refused_then",
    ),
    (
        "backfill",
        "cancel",
        "One of its runs is cancelled like others, and is not missing any more; `cancel_backfill()` cancels all that wait.",
        (
            "test_a_cancelled_run_of_a_backfill_is_not_missing_any_more test_what_waits_is_cancelled_with_a_backfill "
            "test_the_waiting_runs_of_a_backfill_are_found_and_cancelled"
        ),
    ),
    (
        "backfill",
        "chain",
        (
            "The end of each of its runs starts the jobs after it, unless it was asked for with `chain=False`; one that is "
            "cancelled before it was taken starts none."
        ),
        (
            "test_a_record_that_was_opened_again_and_is_cancelled_before_it_was_taken_starts_nothing "
            "test_each_run_of_a_backfill_starts_the_job_after_it "
            "test_a_backfill_starts_the_jobs_after_it_unless_that_is_not_wanted"
        ),
    ),
    (
        "backfill",
        "crash",
        "What is left of it stands in the store: any node carries it on, and takes over the runs of the dead one.",
        "test_another_node_carries_on_what_a_process_that_is_gone_has_begun test_a_backfilled_run_of_a_dead_node_is_taken_over",
    ),
    (
        "backfill",
        "time-out",
        "Each of its runs has its whole time; one that has timed out is not missing.",
        (
            "test_the_time_of_whatever_has_waited_begins_with_its_start "
            "test_a_time_without_a_record_is_missing_and_one_that_has_ended_otherwise_is_not"
        ),
    ),
    (
        "backfill",
        "remove",
        "What waits is cancelled with the job, and what is left of the backfill goes with it.",
        (
            "test_a_removed_job_takes_its_backfill_with_it test_whatever_waits_is_cancelled_with_its_job "
            "test_the_waiting_runs_of_a_removed_job_are_cancelled_with_it"
        ),
    ),
    (
        "backfill",
        "edit",
        "Its runs are called as the job is by then, and the times of the trigger that the job has then count.",
        "test_whatever_waits_is_called_as_its_job_was_edited_meanwhile test_the_times_of_the_present_trigger_count",
    ),
    (
        "backfill",
        "shutdown",
        "Another node carries it on, or the next start; in memory what waits is cancelled.",
        (
            "test_whatever_waits_is_carried_out_by_another_node_when_its_own_is_gone "
            "test_what_waits_in_memory_is_cancelled_by_a_shutdown"
        ),
    ),
    # ------------------------------------------------------------------------------------------------ rerun, cancel
    (
        "rerun",
        "cancel",
        "A run that was cancelled can be run once more, and a rerun that waits is cancelled at once.",
        (
            "test_a_run_that_was_cancelled_or_has_timed_out_is_executed_once_more "
            "test_whatever_waits_is_cancelled_at_once_and_not_called test_a_waiting_run_is_cancelled_at_once"
        ),
    ),
    (
        "rerun",
        "chain",
        (
            "Its end starts the jobs after it again, unless it was asked for with `chain=False`; one that is cancelled before "
            "it was taken starts none."
        ),
        (
            "test_a_rerun_starts_it_again_unless_it_is_not_to test_a_rerun_may_start_nothing "
            "test_a_record_that_was_opened_again_and_is_cancelled_before_it_was_taken_starts_nothing"
        ),
    ),
    (
        "rerun",
        "crash",
        "A rerun that waits is taken by any node; one under way is taken over as any run is.",
        "test_whatever_waits_is_carried_out_by_another_node_when_its_own_is_gone test_what_was_taken_is_rescued_when_its_node_dies",
    ),
    (
        "rerun",
        "time-out",
        "A run that has timed out can be run once more, and has its whole time then.",
        (
            "test_a_run_that_was_cancelled_or_has_timed_out_is_executed_once_more "
            "test_the_time_of_whatever_has_waited_begins_with_its_start"
        ),
    ),
    (
        "rerun",
        "remove",
        "A rerun of a removed job is refused with an error that says so; one that waits is cancelled with the job.",
        (
            "test_what_cannot_be_opened_again_is_refused test_whatever_waits_is_cancelled_with_its_job "
            "test_the_waiting_runs_of_a_removed_job_are_cancelled_with_it"
        ),
    ),
    (
        "rerun",
        "edit",
        "It is called as the job is by then.",
        (
            "test_whatever_waits_is_called_as_its_job_was_edited_meanwhile "
            "test_what_waits_by_itself_starts_when_its_job_goes_on_and_as_that_was_edited"
        ),
    ),
    (
        "rerun",
        "shutdown",
        "One that waits is taken by another node, or after the next start; in memory it is cancelled.",
        (
            "test_whatever_waits_is_carried_out_by_another_node_when_its_own_is_gone "
            "test_what_waits_in_memory_is_cancelled_by_a_shutdown"
        ),
    ),
    (
        "cancel",
        "chain",
        (
            'A run that was cancelled starts the jobs after it that are there for any end (`on="any"`); a time that was '
            "cancelled ahead, and a rerun or a run of a backfill that was cancelled before a node had taken it, start none."
        ),
        (
            "test_a_record_that_was_opened_again_and_is_cancelled_before_it_was_taken_starts_nothing "
            "test_a_cancelled_run_of_the_parent_starts_what_follows_any_end "
            "test_a_waiting_run_that_is_cancelled_starts_what_follows_any_end "
            "test_a_time_that_is_cancelled_ahead_and_records_of_what_did_not_run_start_nothing"
        ),
    ),
    (
        "cancel",
        "crash",
        "A run that was asked to stop is cancelled when its node dies, and not executed again.",
        "test_a_run_that_somebody_has_asked_to_stop_is_cancelled_when_its_node_dies",
    ),
    (
        "cancel",
        "time-out",
        "A time that is over decides before a cancel does: the run ends as `timed_out`, and is not tried again.",
        "test_a_cancel_gives_way_to_a_time_that_is_over test_a_run_that_is_cancelled_after_its_time_is_not_tried_again",
    ),
    (
        "cancel",
        "remove",
        'What waits is cancelled by the removal ("job removed"); what runs goes on, and can still be asked to stop.',
        (
            "test_a_run_under_way_of_a_removed_job_ends_as_it_would_have test_whatever_waits_is_cancelled_with_its_job "
            "test_the_waiting_runs_of_a_removed_job_are_cancelled_with_it"
        ),
    ),
    (
        "cancel",
        "edit",
        "A request to stop stays with its run, whatever the job is now.",
        "test_a_request_to_cancel_outlives_an_edit",
    ),
    (
        "cancel",
        "shutdown",
        (
            "A shutdown that stops runs is no request to cancel: they wait for any node. A run that somebody has asked to "
            "stop is cancelled."
        ),
        "test_a_run_that_a_shutdown_stops_is_left_to_other_nodes test_a_run_that_its_node_has_stopped_to_leave_is_given_back",
    ),
    # ---------------------------------------------------------------------------------------------- chain and others
    (
        "chain",
        "crash",
        (
            "The end of a run and what it starts are one step (in MongoDB others finish it): each end starts each job "
            "after it exactly once. A run that is lost has failed."
        ),
        (
            "test_a_run_that_is_rescued_starts_the_next_job_once "
            "test_a_run_that_is_lost_with_its_node_starts_what_follows_a_failure "
            "test_what_a_dead_node_has_not_filed_starts_the_next_job_once"
        ),
    ),
    (
        "chain",
        "time-out",
        (
            'A run that has timed out for good has failed: it starts what is there `on="failed"`. The wait of a child is no '
            "time of its run."
        ),
        (
            "test_each_end_counts_for_what_its_name_says_and_for_nothing_else "
            "test_the_time_of_whatever_has_waited_begins_with_its_start test_each_end_starts_the_jobs_that_it_counts_for"
        ),
    ),
    (
        "chain",
        "remove",
        (
            "A child that was removed is not started, and its waiting runs are cancelled; a parent that is removed leaves "
            "its children, and its "
            'waiting runs that are cancelled with it start what is there `on="any"`, but for reruns and runs of backfills.'
        ),
        (
            "test_a_job_that_was_removed_or_is_started_otherwise_gets_nothing "
            "test_a_job_that_is_removed_cancels_its_waiting_runs_and_these_start_what_follows_any_end "
            "test_a_record_that_was_opened_again_and_is_cancelled_before_it_was_taken_starts_nothing "
            "test_whatever_waits_is_cancelled_with_its_job"
        ),
    ),
    (
        "chain",
        "edit",
        "What waits is called as the job is by then; a job may get and lose such a trigger, and circles are refused by the edit.",
        (
            "test_whatever_waits_is_called_as_its_job_was_edited_meanwhile test_a_job_gets_such_a_trigger_later_and_loses_it "
            "test_circles_are_refused_by_every_way_in"
        ),
    ),
    (
        "chain",
        "shutdown",
        "What waits is taken by another node, or after the next start; in memory it is cancelled.",
        (
            "test_whatever_waits_is_carried_out_by_another_node_when_its_own_is_gone "
            "test_what_waits_in_memory_is_cancelled_by_a_shutdown"
        ),
    ),
    (
        "crash",
        "time-out",
        (
            "A run whose time was over when its node died has timed out, whatever `on_lost` says, and is tried again "
            "only where it has a retry; one that is taken over before has a time of its own."
        ),
        (
            "test_the_node_that_rescues_a_run_knows_that_its_time_was_over "
            "test_a_run_whose_time_was_over_when_its_node_died_has_timed_out "
            "test_a_run_whose_time_was_over_when_its_node_died_is_tried_again_where_it_has_a_retry "
            "test_a_run_that_is_rescued_again_is_not_judged_by_its_first_attempt"
        ),
    ),
    (
        "crash",
        "remove",
        "The run of a removed job is lost if it may have begun, and cancelled if nobody has begun it.",
        (
            "test_a_run_of_a_dead_node_whose_job_was_removed_is_lost "
            "test_a_run_that_nobody_has_begun_is_cancelled_when_its_job_was_removed"
        ),
    ),
    (
        "crash",
        "edit",
        "The run is executed again as the job is by then.",
        (
            "test_the_run_of_a_dead_node_is_executed_as_its_job_was_edited_meanwhile "
            "test_a_run_is_taken_over_though_its_job_was_paused_and_with_what_it_was_edited_to"
        ),
    ),
    (
        "crash",
        "shutdown",
        "A node that leaves keeps its lease until its runs have ended; if it dies before, they are taken over.",
        "test_a_node_that_leaves_keeps_its_lease_for_what_is_under_way",
    ),
    (
        "time-out",
        "remove",
        (
            "What is under way keeps its time, and ends as `timed_out` when that is over, also if it was to be tried again."
        ),
        (
            "test_a_run_under_way_of_a_removed_job_ends_as_it_would_have "
            "test_a_run_of_a_removed_job_that_was_to_be_tried_again_ends_as_its_last_try"
        ),
    ),
    (
        "time-out",
        "edit",
        "The edit counts for the next attempt.",
        "test_an_edit_changes_the_time_of_the_next_attempt_only",
    ),
    (
        "time-out",
        "shutdown",
        "A shutdown waits for a run until its time is over, and not much longer: what ignores that ends as `timed_out`, for good.",
        (
            "test_a_shutdown_waits_until_the_time_is_over_and_not_much_longer "
            "test_a_shutdown_goes_on_without_a_run_that_ignores_that_its_time_is_over"
        ),
    ),
    (
        "remove",
        "edit",
        "A job that was removed cannot be edited: that is an error. A removal defeats an edit that looked at it before.",
        "test_an_unknown_job_can_neither_be_updated_nor_saved_nor_removed test_r1_a_job_that_was_removed_is_gone_for_all",
    ),
    (
        "remove",
        "shutdown",
        "A job that runs during a shutdown may still remove jobs; what was removed is gone at the next start.",
        "test_a_job_reaches_the_stores_while_its_scheduler_stops test_r1_a_job_that_was_removed_is_gone_for_all",
    ),
    (
        "edit",
        "shutdown",
        "Edits are in the store when the call returns, also those of a job that runs during a shutdown.",
        "test_a_job_reaches_the_stores_while_its_scheduler_stops test_an_updated_job_replaces_the_stored_one",
    ),
]
