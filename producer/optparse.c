/*
 * optparse.c
 *	  Command lines as a table: parsing, checks and --help come from it.
 *
 * Used instead of getopt_long because that needs the options twice more (a
 * switch and a help text), accepts abbreviations, and knows no ranges.
 */
#include "optparse.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef WEIR_VERSION
#define WEIR_VERSION "unknown"
#endif

#define HELP_COLUMN 27

void
opt_fail(const OptProgram *program, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nTry \"%s --help\".\n", program->name);
	exit(OPT_EXIT_USAGE);
}

int
opt_choice(const char *choices, const char *word)
{
	size_t length = strlen(word);
	int index = 0;

	for (const char *at = choices;; index++)
	{
		const char *bar = strchr(at, '|');
		size_t here = bar ? (size_t) (bar - at) : strlen(at);

		if (here == length && memcmp(at, word, length) == 0)
			return index;
		if (bar == NULL)
			return -1;
		at = bar + 1;
	}
}

/* opt_help_text: one paragraph, its lines indented to the help column. */
static void
opt_help_text(const char *text)
{
	for (;;)
	{
		size_t line = strcspn(text, "\n");

		printf("%.*s\n", (int) line, text);
		text += line;
		if (*text == '\0')
			return;
		text++;
		printf("%*s", HELP_COLUMN, "");
	}
}

static void
opt_help_line(const char *name, const char *arg, const char *help)
{
	int used = printf("  --%s%s%s", name, arg ? " " : "", arg ? arg : "");

	if (used >= HELP_COLUMN)
	{
		putchar('\n');
		used = 0;
	}
	printf("%*s", HELP_COLUMN - used, "");
	opt_help_text(help);
}

static void
opt_help(const OptProgram *program)
{
	printf("%s\n\nUsage: %s [OPTION]...\n", program->intro, program->name);
	for (const OptSpec *spec = program->specs; spec->name != NULL; spec++)
	{
		if (spec->kind == OPT_GROUP)
			printf("\n%s:\n", spec->name);
		else
			opt_help_line(spec->name, spec->arg, spec->help);
	}
	printf("\nOther:\n");
	opt_help_line("help", NULL, "show this and exit");
	opt_help_line("version", NULL, "show the version and exit");
	if (program->outro != NULL)
		printf("\n%s\n", program->outro);
}

/* opt_double: all of text as a finite number within the spec's range. */
static bool
opt_double(const OptSpec *spec, const char *text, double *value)
{
	char *end;

	errno = 0;
	*value = strtod(text, &end);
	return end != text && *end == '\0' && isfinite(*value) &&
		   *value >= spec->min && *value <= spec->max;
}

/* opt_int: all of text as a decimal integer within the spec's range. */
static bool
opt_int(const OptSpec *spec, const char *text, int64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoll(text, &end, 10);
	return end != text && *end == '\0' && errno == 0 && *value >= spec->min &&
		   *value <= spec->max;
}

static void
opt_store(const OptProgram *program, const OptSpec *spec, const char *text,
		  void *values)
{
	void *field = (char *) values + spec->offset;
	const char *wrong;
	int choice;

	switch (spec->kind)
	{
		case OPT_GROUP:
			break;
		case OPT_FLAG:
			*(bool *) field = true;
			break;
		case OPT_STRING:
			if (*text == '\0')
				opt_fail(program, "--%s must not be empty", spec->name);
			*(const char **) field = text;
			break;
		case OPT_INT:
			if (!opt_int(spec, text, field))
				opt_fail(program,
						 "--%s must be an integer from %.0f to %.0f, not \"%s\"",
						 spec->name, spec->min, spec->max, text);
			break;
		case OPT_NUMBER:
			if (!opt_double(spec, text, field))
				opt_fail(program,
						 "--%s must be a number from %g to %g, not \"%s\"",
						 spec->name, spec->min, spec->max, text);
			break;
		case OPT_CHOICE:
			choice = opt_choice(spec->choices, text);
			if (choice < 0)
				opt_fail(program, "--%s must be one of %s, not \"%s\"",
						 spec->name, spec->choices, text);
			*(int *) field = choice;
			break;
		case OPT_CUSTOM:
			wrong = spec->set(text, field);
			if (wrong != NULL)
				opt_fail(program, "--%s must be %s, not \"%s\"", spec->name,
						 wrong, text);
			break;
	}
}

static const OptSpec *
opt_find(const OptProgram *program, const char *name, size_t length)
{
	const OptSpec *spec = program->specs;

	for (; spec->name != NULL; spec++)
		if (spec->kind != OPT_GROUP && strlen(spec->name) == length &&
			memcmp(spec->name, name, length) == 0)
			return spec;
	return NULL;
}

void
opt_parse(const OptProgram *program, int argc, char **argv, void *values)
{
	for (int i = 1; i < argc; i++)
	{
		const char *name = argv[i] + 2;
		const OptSpec *spec;
		const char *value;
		size_t length;

		if (strncmp(argv[i], "--", 2) != 0)
			opt_fail(program, "unexpected argument \"%s\"", argv[i]);
		if (strcmp(name, "help") == 0)
		{
			opt_help(program);
			exit(EXIT_SUCCESS);
		}
		if (strcmp(name, "version") == 0)
		{
			printf("%s %s\n", program->name, WEIR_VERSION);
			exit(EXIT_SUCCESS);
		}
		length = strcspn(name, "=");
		value = name[length] == '=' ? name + length + 1 : NULL;
		spec = opt_find(program, name, length);
		if (spec == NULL)
			opt_fail(program, "unknown option \"--%.*s\"", (int) length, name);
		if (spec->kind == OPT_FLAG && value != NULL)
			opt_fail(program, "--%s takes no value", spec->name);
		if (spec->kind != OPT_FLAG && value == NULL)
		{
			if (i + 1 >= argc)
				opt_fail(program, "--%s needs a value", spec->name);
			value = argv[++i];
		}
		opt_store(program, spec, value, values);
	}
}
