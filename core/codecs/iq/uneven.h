// SPDX-License-Identifier: GPL-3.0-or-later
// The sixteen levels of IQ4_NL and IQ4_XS.
#pragma once
#include "core/codecs/super_block/levels.h"
#include "kernels/base/levels.h"

namespace bitloom::iq {

struct UnevenTable {
  static constexpr const float (&kLevels)[16] = levels::kUneven;
};
using Uneven = super_block::Listed<UnevenTable>;

}  // namespace bitloom::iq
