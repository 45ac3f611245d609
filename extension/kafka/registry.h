/*
 * kafka/registry.h
 *		A schema registry, as Confluent's REST API has it.
 */
#ifndef WEIR_KAFKA_REGISTRY_H
#define WEIR_KAFKA_REGISTRY_H

#include "base/weir.h"

typedef struct RegistryAddress
{
	char *url; /* NULL: there is none */
	char *username;
	char *password;
} RegistryAddress;

typedef enum RegistryAnswer
{
	REGISTRY_SCHEMA,  /* *text is it, palloc'ed */
	REGISTRY_UNKNOWN, /* the registry has no such schema, or no use of it is
					   * possible: *text says why */
	REGISTRY_FAILED   /* no answer, or none that makes sense: *text says why */
} RegistryAnswer;

/* The options that have an address, on server and user mapping. */
extern bool weir_registry_option(const char *name, bool server);
/* Raise if the value of one of them cannot be. */
extern void weir_registry_check_option(const char *name, const char *value);

/*
 * The Avro schema of an id.  Waits ten seconds at most, in slices, with
 * CHECK_FOR_INTERRUPTS between them.
 */
extern RegistryAnswer
weir_registry_schema(const RegistryAddress *address, uint32 id, char **text);

#endif /* WEIR_KAFKA_REGISTRY_H */
