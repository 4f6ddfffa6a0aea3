// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec.h"
#include "core/base/random.h"

#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <numbers>
#include <string>

#include "kernels/cpu/kernels.h"

// The shelf's table, once for each instruction set. The types of the other namespaces are the same
// text as ours.
#ifdef __x86_64__
namespace bitloom_avx2 {
std::span<const bitloom::Codec* const> portableCodecs();
}
namespace bitloom_avx512 {
std::span<const bitloom::Codec* const> portableCodecs();
}
#endif

namespace bitloom {

std::span<const Codec* const> portableCodecs();

namespace {

constexpr size_t kSample = 4096;  // every layout divides it; two digits of the error

// Never 0, unlike its source.
double nextPositive(uint64_t& state) { return nextUniform(state) + 0x1p-54; }

std::vector<float> gaussianSample() {
  std::vector<float> values(kSample);
  uint64_t state = 1;
  for (float& value : values) {
    const double radius = std::sqrt(-2 * std::log(nextPositive(state)));
    value = float(0.02 * radius * std::cos(2 * std::numbers::pi * nextPositive(state)));
  }
  return values;
}

double measuredError(const Codec& codec) {
  if (codec.rowBytes(kSample) == 0) return std::numeric_limits<double>::infinity();
  const std::vector<float> values = gaussianSample();
  std::vector<std::byte> bytes(codec.rowBytes(kSample));
  std::vector<float> decoded(kSample);
  codec.encode(values, {}, bytes);
  codec.decode(bytes, decoded);
  double error = 0, energy = 0;
  for (size_t i = 0; i < kSample; ++i) {
    const double rest = double(decoded[i]) - double(values[i]);
    error += rest * rest;
    energy += double(values[i]) * double(values[i]);
  }
  return error / energy;
}

}  // namespace

std::vector<const Codec*> codecsFor(std::string_view cpu) {
  const CpuKernels* kernels = findCpuKernels(std::string(cpu).c_str());
  if (kernels == nullptr) return {};
  const auto portable = portableCodecs();
  std::vector<const Codec*> table(portable.begin(), portable.end());
#ifdef __x86_64__
  std::span<const Codec* const> faster;
  if (cpu == "avx2") faster = bitloom_avx2::portableCodecs();
  if (cpu == "avx512" || cpu == "amx") faster = bitloom_avx512::portableCodecs();
  for (const Codec*& codec : table) {
    for (const Codec* other : faster) codec = other->name == codec->name ? other : codec;
  }
#endif
  return table;
}

std::span<const Codec* const> codecs() {
  static const std::vector<const Codec*> table = codecsFor(cpuKernels().name);
  return table;
}

const Codec* effectiveCodec(const Codec* requested, uint64_t rowLength) {
  const Codec* codec = requested;
  while (codec->rowBytes(rowLength) == 0) {
    const Codec* next = codec->fallback.empty() ? nullptr : findCodec(codec->fallback);
    if (next == nullptr) return codec;
    codec = next;
  }
  return codec;
}

double gaussianError(const Codec& codec) {
  static std::mutex mutex;
  static std::map<const Codec*, double> known;
  const std::lock_guard lock(mutex);
  const auto [entry, isNew] = known.try_emplace(&codec);
  if (isNew) entry->second = measuredError(codec);
  return entry->second;
}

}  // namespace bitloom
