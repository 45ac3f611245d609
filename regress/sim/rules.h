/*
 * rules.h
 *		Rules of the protocol that the simulation can break, one at a time, to
 *		show that it would notice (sim --broken NAME).  No include guard: this
 *		is a table, read with RULE defined.
 *
 * A rule is broken in the simulated environment, where it calls core/; core/
 * itself is as the extension has it.
 */
RULE(chunks_until_committed, "chunks are kept until the view's commit is known")
RULE(copy_before_touch, "a frozen group is copied before it is changed")
RULE(copied_by_all, "a barrier is committed when every worker has copied")
RULE(positions_at_barrier, "positions are those of the barrier")
RULE(least_watermark, "windows close up to the least watermark")
RULE(worker_takes_closing, "what a barrier closes takes no further row")
RULE(joining_takes_closing, "so it does in a view that joins at the barrier")
RULE(late_apart, "a record that is late for a window stays out of its panes")
RULE(parts_of_windows, "a window is all panes that are a part of it")
RULE(partial_is_closing, "a closing without a pane that is over has a mark, too")
RULE(final_in_pane, "of a pane that is not over, final windows are not shown")
RULE(from_committed, "what a failed attempt was to close is found again")
RULE(mark_before_commit, "closings are marked before they commit")
RULE(hide_what_is_seen, "a reader hides what its snapshot sees as closed")
RULE(keep_while_needed, "closed windows stay while a snapshot needs them")
RULE(look_before_touch, "a reader looks for what has gone before it touches it")
RULE(gone_from_final, "and takes it from the final table")
RULE(older_than_memory, "a snapshot from before the recovery reads the log")
RULE(watermark_restored, "watermarks are recovered")
RULE(new_incarnation, "a recovery writes under a new incarnation")
RULE(last_write_wins, "within a log the last write of a group wins")
RULE(logs_are_combined, "over logs groups are combined")
RULE(restored_is_rewritten, "the first copy of a restored pane is a rewrite")
RULE(replaces_older, "which replaces what older incarnations have written")
RULE(dropped_is_rewritten, "and so is that of a pane whose chunks are dropped")
RULE(rewrite_copies_all, "a rewrite has all groups of the pane")
RULE(generation_checked, "a checkpoint does not overtake a reset")
RULE(letters_at_barrier, "dead letters are kept until they are committed")
RULE(letters_with_view, "a view's dead letter is written with its positions")
RULE(letters_kept, "if the view is not, the letter is kept")
RULE(skip_what_was_read, "a view skips what it has had")
RULE(group_is_durable, "Kafka's tools are told what is flushed")
RULE(life_checked, "a reader starts over when memory has gone")
