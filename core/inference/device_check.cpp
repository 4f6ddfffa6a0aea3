// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/device_check.h"

#include <cmath>
#include <functional>
#include <random>

#include "core/base/strings.h"
#include "core/inference/backend_state.h"
#include "core/inference/device_check_parts.h"

namespace bitloom {
namespace device_check {

Floats randomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  Floats values(count);
  for (float& value : values) {
    // A sum of uniform numbers: the same on every standard library.
    double sum = -2;
    for (int i = 0; i < 4; ++i) sum += double(random()) / 4294967296.0;
    value = float(sum);
  }
  return values;
}

double worstError(const Floats& actual, const std::vector<double>& expected) {
  double square = 0, worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(double(actual[i]) - expected[i]);
    if (std::isnan(difference)) return difference;
    worst = std::max(worst, difference);
    square += expected[i] * expected[i];
  }
  return worst / std::sqrt(square / double(expected.size()));
}

}  // namespace device_check

namespace {

using namespace device_check;

// Sums of some hundred products in f32.
constexpr double kSumBound = 3e-5;
constexpr double kExactBound = 1e-6;  // one or two roundings
constexpr double kHalfBound = 4e-3;   // of values that were cut or rounded to halves on the way
constexpr double kEncodeBound = 1e-4;
constexpr double kKldBound = 1e-4;  // of a sum of thousands of small terms

constexpr std::string_view kNoCodec = "none";

struct Check {
  std::string kernel;
  double bound;
  std::function<Result<double>(vulkan::Device&)> run;
  std::string_view codec = kNoCodec;
};

std::vector<Check> allChecks() {
  using vulkan::Elementwise;
  std::vector<Check> checks = {
      {"rms norm", kSumBound, checkNorm},
      {"rope, halves", kExactBound, [](auto& device) { return checkRope(device, false); }},
      {"rope, neighbours", kExactBound, [](auto& device) { return checkRope(device, true); }},
      {"gather", 0, checkGather},
      {"top of a vocabulary", kSumBound, checkTop},
      {"divergence", kKldBound, checkDivergence}};
  for (const auto& [name, format, bound, splits] :
       {std::tuple{"attention f32", vulkan::CacheFormat::Floats, kSumBound, 1u},
        {"attention f32, split", vulkan::CacheFormat::Floats, kSumBound, 7u},
        {"attention f16", vulkan::CacheFormat::Halves, kHalfBound, 1u},
        {"attention 8 bits", vulkan::CacheFormat::Bytes, kSumBound, 1u}}) {
    checks.push_back({name, bound, [format, splits](auto& device) {
                        return checkAttention(device, format, splits);
                      }});
  }
  for (const auto& [name, kind, bound] : {std::tuple{"silu gate", Elementwise::SiluGate, 1e-5},
                                          {"gelu gate", Elementwise::GeluGate, 1e-5},
                                          {"add", Elementwise::Add, kExactBound},
                                          {"scale", Elementwise::Scale, kExactBound}}) {
    checks.push_back(
        {name, bound, [kind](auto& device) { return checkElementwise(device, kind); }});
  }
  for (const Codec* codec : codecs()) {
    if (!vulkan::hasShaders(codec->name)) continue;
    checks.push_back({strCat("decode ", codec->name), kExactBound * 10,
                      [codec](auto& device) { return checkEmbed(device, *codec); }, codec->name});
    for (const uint32_t tokens : {1u, 3u, 45u}) {
      checks.push_back({strCat("linear ", codec->name, ", ", tokens, " tokens"), kSumBound,
                        [=](auto& device) { return checkLinear(device, *codec, tokens); },
                        codec->name});
    }
    if (!vulkan::hasEncoder(codec->name)) continue;
    checks.push_back({strCat("encode ", codec->name), kEncodeBound,
                      [codec](auto& device) { return checkEncode(device, *codec); }, codec->name});
  }
  return checks;
}

}  // namespace

Result<std::vector<DeviceCheck>> checkDevice(Backend& backend, std::string_view codec,
                                             JobContext& job) {
  const std::lock_guard lock(backend.state().mutex);
  vulkan::Device& device = *backend.state().device;
  std::vector<Check> checks = allChecks();
  if (!codec.empty()) {
    std::erase_if(checks, [&](const Check& check) { return check.codec != codec; });
  }
  job.begin(checks.size(), "kernels");
  std::vector<DeviceCheck> results;
  for (const Check& check : checks) {
    TRY(job.checkpoint());
    job.step(check.kernel);
    TRY(const double error, check.run(device));
    results.push_back({check.kernel, error, check.bound});
    job.advance();
  }
  return results;
}

}  // namespace bitloom
