/*
 * optparse.h
 *	  Command lines as a table: parsing, checks and --help come from it.
 *
 * A program declares its options as an array of OptSpec, each of which says
 * where in the program's own struct the value goes.  Values are written as
 * "--name value" or "--name=value".
 */
#ifndef WEIR_PRODUCER_OPTPARSE_H
#define WEIR_PRODUCER_OPTPARSE_H

#include <stddef.h>

/* The exit status of a program that was called wrongly. */
#define OPT_EXIT_USAGE 2

typedef enum OptKind
{
	OPT_GROUP,  /* no option: a heading of --help */
	OPT_FLAG,   /* bool; takes no value */
	OPT_STRING, /* const char *, pointing into argv */
	OPT_INT,    /* int64_t within min..max */
	OPT_NUMBER, /* double within min..max */
	OPT_CHOICE, /* int: the index within choices */
	OPT_CUSTOM  /* anything: see set */
} OptKind;

typedef struct OptSpec
{
	OptKind kind;
	const char *name;    /* without the dashes */
	const char *arg;     /* what --help calls the value; NULL for a flag */
	const char *help;    /* lines are separated by newlines */
	size_t offset;       /* where in the program's struct */
	double min;          /* OPT_INT, OPT_NUMBER: the least value allowed */
	double max;          /* ... and the greatest */
	const char *choices; /* OPT_CHOICE: words separated by '|' */

	/*
	 * OPT_CUSTOM: stores text at field; returns NULL, or what a value must
	 * look like ("--name must be ..."), as a static string.
	 */
	const char *(*set)(const char *text, void *field);
} OptSpec;

typedef struct OptProgram
{
	const char *name;
	const char *intro;    /* of --help: what the program does */
	const char *outro;    /* of --help: what else to know */
	const OptSpec *specs; /* ends with a spec without name that is no group */
} OptProgram;

/*
 * opt_parse: fill *values from the command line.  *values must hold the
 * defaults.  --help and --version are served here and exit with 0; a wrong
 * command line is reported on stderr and exits with OPT_EXIT_USAGE.
 */
extern void
opt_parse(const OptProgram *program, int argc, char **argv, void *values);

/* opt_fail: report a wrong command line, printf-like, and exit. */
extern void opt_fail(const OptProgram *program, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* opt_choice: the index of a word in "a|b|c", or -1. */
extern int opt_choice(const char *choices, const char *word);

#endif
