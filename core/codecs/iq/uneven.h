// SPDX-License-Identifier: GPL-3.0-or-later
// The sixteen levels of IQ4_NL and IQ4_XS (ggml-common.h of ggml-org: the values that a code
// means).
#pragma once
#include "core/codecs/super_block/levels.h"

namespace bitloom::iq {

struct UnevenTable {
  static constexpr float kLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};
};
using Uneven = super_block::Listed<UnevenTable>;

}  // namespace bitloom::iq
