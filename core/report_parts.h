// SPDX-License-Identifier: GPL-3.0-or-later
// Parts of `buildReport`: numbers as words, and what is drawn over blocks × roles.
#pragma once
#include <string>

#include "core/recipe.h"
#include "core/report.h"

namespace bitloom::reporting {

constexpr size_t kShownTensors = 12;  // of a plan before it is folded

std::string shown(double value, const char* format);  // printf's; a dash for NaN and infinities
std::string nats(double value);

void addSensitivity(Report& report, const Sensitivity& cells);       // one heatmap for each codec
void addPlan(Report& report, const Plan& plan, const Model& model);  // a table and a heatmap

}  // namespace bitloom::reporting
