// SPDX-License-Identifier: GPL-3.0-or-later
// The numbers of a transformer, read from `<architecture>.*` keys and checked.
#pragma once
#include <cstdint>

#include "core/graph.h"
#include "core/model.h"

namespace bitloom {

struct HyperParameters {
  uint32_t blocks = 0;
  uint32_t width = 0;
  uint32_t feedForward = 0;
  uint32_t heads = 0;
  uint32_t kvHeads = 0;
  uint32_t keyLength = 0;
  uint32_t valueLength = 0;
  uint32_t contextLength = 0;
  float epsilon = 0;
  RopeParameters rope;  // without style and factors tensor
};

Result<HyperParameters> readHyperParameters(const Model& model);

}  // namespace bitloom
