// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec.h"

namespace bitloom {

const Codec* effectiveCodec(const Codec* requested, uint64_t rowLength) {
  const Codec* codec = requested;
  while (codec->rowBytes(rowLength) == 0) {
    const Codec* next = codec->fallback.empty() ? nullptr : findCodec(codec->fallback);
    if (next == nullptr) return codec;
    codec = next;
  }
  return codec;
}

}  // namespace bitloom
