/*
 * catalog/stream_options.h
 *		The options of a stream and its columns, read into a StreamDef (private
 *		to catalog/).
 */
#ifndef WEIR_CATALOG_STREAM_OPTIONS_H
#define WEIR_CATALOG_STREAM_OPTIONS_H

#include "catalog/stream.h"

/* What an option says that can be resolved only with the table's columns. */
typedef struct StreamDraft
{
	StreamDef def;          /* all but columns, names and settings */
	const char *event_time; /* column name, or NULL */
	bool deletes_given;
	const char *csv_option; /* one of csv's that is given, or NULL */
} StreamDraft;

/* A column's options as given. */
typedef struct ColumnDraft
{
	const char *path; /* or NULL */
	const char *unit; /* or NULL */
	int64 unit_num;
	int64 unit_den;
	StreamSource source;
	const char *metadata; /* the option as given, or NULL */
	bool key;             /* it is part of the message's key */
} ColumnDraft;

/* Defaults, then the options (List of DefElem); raises on impossible values. */
extern void weir_stream_read_options(StreamDraft *draft, List *options);
extern void weir_column_read_options(ColumnDraft *draft, List *options);

#endif /* WEIR_CATALOG_STREAM_OPTIONS_H */
