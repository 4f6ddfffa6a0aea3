// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/profile.h"

#include <algorithm>
#include <array>

namespace bitloom {
namespace {

// What every reader of GGUF v3 agrees on (ggml.h, llama.h of ggml-org). File types of K-quants are
// those of the "S" mixes, which hold one type nearly everywhere.
constexpr ProfileType kCommon[] = {
    {"f32", 0, 1, 4, 0},          {"f16", 1, 1, 2, 1},          {"q4_0", 2, 32, 18, 2},
    {"q4_1", 3, 32, 20, 3},       {"q5_0", 6, 32, 22, 8},       {"q5_1", 7, 32, 24, 9},
    {"q8_0", 8, 32, 34, 7},       {"q8_1", 9, 32, 36, {}},      {"q2_k", 10, 256, 84, 10},
    {"q3_k", 11, 256, 110, 11},   {"q4_k", 12, 256, 144, 14},   {"q5_k", 13, 256, 176, 16},
    {"q6_k", 14, 256, 210, 18},   {"q8_k", 15, 256, 292, {}},   {"iq2_xxs", 16, 256, 66, 19},
    {"iq2_xs", 17, 256, 74, 20},  {"iq3_xxs", 18, 256, 98, 23}, {"iq1_s", 19, 256, 50, 24},
    {"iq4_nl", 20, 32, 18, 25},   {"iq3_s", 21, 256, 110, 26},  {"iq2_s", 22, 256, 82, 28},
    {"iq4_xs", 23, 256, 136, 30}, {"i8", kGgmlI8, 1, 1, {}},    {"i16", 25, 1, 2, {}},
    {"i32", 26, 1, 4, {}},        {"i64", 27, 1, 8, {}},        {"f64", 28, 1, 8, {}},
    {"iq1_m", 29, 256, 56, 31},   {"bf16", 30, 1, 2, 32},       {"tq1_0", 34, 256, 54, 36},
    {"tq2_0", 35, 256, 66, 37},   {"mxfp4", 39, 32, 17, 38},    {"nvfp4", 40, 64, 36, 39},
};

constexpr ProfileType kMainlineOnly[] = {
    {"q1_0", 41, 128, 18, 40},
    {"q2_0", 42, 64, 18, 41},
};

// 42 … 44 are key–value cache types there, never written to a model file.
constexpr ProfileType kThetomOnly[] = {
    {"q1_0", 41, 128, 18, 40},
    {"tq3_1s", 45, 32, 16, 43},
    {"tq4_1s", 46, 32, 20, 44},
};

// The fork swaps 41 and 42.
constexpr ProfileType kTurboTanOnly[] = {
    {"q2_0", 41, 64, 18, {}},   {"q1_0", 42, 128, 18, {}},   {"tq3_1s", 44, 32, 16, 43},
    {"tq3_4s", 46, 32, 16, 45}, {"tq3_0", 200, 32, 14, 200},
};

template <size_t kCount>
constexpr auto withCommon(const ProfileType (&more)[kCount]) {
  std::array<ProfileType, std::size(kCommon) + kCount> all{};
  std::copy(std::begin(kCommon), std::end(kCommon), all.begin());
  std::copy(std::begin(more), std::end(more), all.begin() + std::size(kCommon));
  return all;
}

constexpr auto kMainline = withCommon(kMainlineOnly);
constexpr auto kThetom = withCommon(kThetomOnly);
constexpr auto kTurboTan = withCommon(kTurboTanOnly);

constexpr std::array<RuntimeProfile, 3> kProfiles = {{
    {"mainline", "llama.cpp",
     "Loaded by llama.cpp, Ollama, LM Studio and everything built on them; no TQ3_1S or TQ4_1S.",
     kMainline},
    {"thetom", "llama-cpp-turboquant",
     "TQ3_1S and TQ4_1S tensors are loaded by TheTom/llama-cpp-turboquant only; a file without "
     "them also by llama.cpp.",
     kThetom},
    {"turbo-tan", "llama.cpp-tq3",
     "TQ3_1S tensors are loaded by turbo-tan/llama.cpp-tq3 only; a file without them also by "
     "llama.cpp.",
     kTurboTan},
}};

}  // namespace

const ProfileType* RuntimeProfile::find(std::string_view codec) const {
  const auto found = std::find_if(types.begin(), types.end(),
                                  [&](const ProfileType& type) { return type.codec == codec; });
  return found == types.end() ? nullptr : &*found;
}

const ProfileType* RuntimeProfile::find(uint32_t id) const {
  const auto found = std::find_if(types.begin(), types.end(),
                                  [&](const ProfileType& type) { return type.id == id; });
  return found == types.end() ? nullptr : &*found;
}

std::span<const RuntimeProfile> runtimeProfiles() { return kProfiles; }

const RuntimeProfile* findProfile(std::string_view name) {
  for (const RuntimeProfile& profile : kProfiles) {
    if (profile.name == name) return &profile;
  }
  return nullptr;
}

}  // namespace bitloom
