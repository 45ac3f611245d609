/*
 * plan/alert.h
 *		The condition of an alert, as a statement over a final row.
 */
#ifndef WEIR_PLAN_ALERT_H
#define WEIR_PLAN_ALERT_H

#include "base/weir.h"

#include "executor/spi.h"
#include "plan/plan.h"

/*
 * Raise unless this is one boolean expression over the columns of the view's
 * output, as WHERE takes them: no sets, no aggregates.  Between SPI_connect and
 * SPI_finish, as the view's owner and under its settings.
 */
extern void weir_alert_check(const ViewPlan *plan, const char *condition);

/*
 * Parameters are the columns of the view's output, and the window's name (int8).
 * Returns one row: whether the condition is true, and whether clear is (which may
 * be NULL), as text of JSON the row's keys and the row, and the window.  Raises where a condition cannot be one.  Between
 * SPI_connect and SPI_finish, as the view's owner and under its settings.
 */
extern SPIPlanPtr weir_alert_prepare(const ViewPlan *plan,
									 const char *condition, const char *clear);

#endif /* WEIR_PLAN_ALERT_H */
