/*
 * api/control.h
 *		What the functions that change a continuous view begin with.
 */
#ifndef WEIR_API_CONTROL_H
#define WEIR_API_CONTROL_H

#include "base/weir.h"

#include "catalog/view.h"

/* The view, locked, which the user must own, on a server where it can be changed. */
extern ViewRow *weir_controlled_view(Oid relid);

#endif /* WEIR_API_CONTROL_H */
