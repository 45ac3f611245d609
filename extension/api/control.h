/*
 * api/control.h
 *		What the functions that change a continuous view begin with.
 */
#ifndef WEIR_API_CONTROL_H
#define WEIR_API_CONTROL_H

#include "base/weir.h"

#include "catalog/view.h"
#include "plan/plan.h"

/*
 * The view, locked, on a server where it can be changed.  The user must be its
 * owner or of weir_admin for what is done to a view as a whole, its owner for
 * what is then done in the owner's name, such as an expression.
 */
extern ViewRow *weir_controlled_view(Oid relid);
extern ViewRow *weir_owned_view(Oid relid);

/* The view's plan, made as its owner and under its settings. */
extern ViewPlan *weir_plan_of(const ViewRow *row);

#endif /* WEIR_API_CONTROL_H */
