// SPDX-License-Identifier: GPL-3.0-or-later
// How fast a device is at what inference asks of it.
#pragma once
#include "kernels/base/result.h"
#include "kernels/vulkan/device.h"

namespace bitloom {

struct DeviceSpeed {
  double readBytes = 0;  // of f16 weights per second, in products with one token
  double products = 0;   // multiply-adds per second, in products with many tokens
};

// The best of some runs; a fraction of a second on a GPU. Takes an eighth of the device's memory at
// most, 128 MiB where it has them.
Result<DeviceSpeed> measureSpeed(vulkan::Device& device);

}  // namespace bitloom
