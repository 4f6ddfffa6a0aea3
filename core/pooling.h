// SPDX-License-Identifier: GPL-3.0-or-later
// Cells of a sampled metric, freed of part of their noise. To first approximation damage is a
// tensor's sensitivity times a codec's error: ln value = tensor + codec + rest. The rest is partly
// real (outliers that one codec holds and another does not) and partly chance, by as much as the
// cells' standard errors say; it is shrunk by the real part's share of its variance (empirical
// Bayes, Efron & Morris 1973). A solver that picks among raw cells picks lucky ones, and its plans
// come out worse than predicted.
#pragma once
#include <vector>

#include "core/sensitivity.h"

namespace bitloom {

// What each cell's value is to be multiplied by; 1 for metrics that are not sampled, for cells that
// are not positive, and where tensors or codecs are too few to tell (fewer than three).
std::vector<double> pooledFactors(const Sensitivity& sensitivity);

}  // namespace bitloom
