// SPDX-License-Identifier: GPL-3.0-or-later
// A device's self-test: every kernel against sums in double precision on the host, on shapes that
// divide nothing evenly. For `doctor`, the tests, and whoever doubts a driver.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/base/job.h"
#include "kernels/base/result.h"

namespace bitloom {

class Backend;

struct DeviceCheck {
  std::string kernel;  // "linear q4_0, 3 tokens"
  double error = 0;    // worst difference, relative to the result's root mean square
  double bound = 0;
  bool holds() const { return error <= bound; }  // not for NaN
};

// The error is the device's: lost, or out of memory. What a kernel computes wrong is a check that
// does not hold.
// `codec` asks for the kernels of one codec, "none" for those that no codec has; empty: all.
Result<std::vector<DeviceCheck>> checkDevice(Backend& backend, std::string_view codec,
                                             JobContext& job);

}  // namespace bitloom
