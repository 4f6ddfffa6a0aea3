// SPDX-License-Identifier: GPL-3.0-or-later
// Tables that a codec's definition and its fast paths share, ascending in value.
#pragma once
#include <stdint.h>

namespace bitloom::levels {

// TQ3_1S and TQ4_1S, as the llama.cpp forks that run them have them: rotated value / scale.
inline constexpr float kTq3[8] = {-1.996684f, -1.291398f, -0.740341f, -0.247508f,
                                  0.230106f,  0.725222f,  1.277503f,  1.988943f};
inline constexpr float kTq4[16] = {
    -2.732590f, -2.069017f, -1.618046f, -1.256231f, -0.942340f, -0.656759f, -0.388048f, -0.128395f,
    0.128395f,  0.388048f,  0.656759f,  0.942340f,  1.256231f,  1.618046f,  2.069017f,  2.732590f};

// IQ4_NL and IQ4_XS (ggml-common.h of ggml-org: the values that a code means).
inline constexpr float kUneven[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

// MXFP4 and NVFP4, by code: the doubles of OCP's four-bit floats (Microscaling Formats 1.0, table
// 5), so that they are whole.
inline constexpr float kFloat4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// TQn_1Bg: magnitudes of scale bits 0 and 1; n code bits, one scale bit for g weights.
template <int kBits, int kGroup>
struct OneBit;
template <>
struct OneBit<2, 2> {
  static constexpr uint8_t kLevels[2][2] = {{35, 127}, {19, 71}};
};
template <>
struct OneBit<2, 4> {
  static constexpr uint8_t kLevels[2][2] = {{35, 127}, {21, 75}};
};
template <>
struct OneBit<2, 8> {
  static constexpr uint8_t kLevels[2][2] = {{36, 127}, {23, 81}};
};
template <>
struct OneBit<3, 2> {
  static constexpr uint8_t kLevels[2][4] = {{12, 39, 73, 127}, {9, 28, 53, 93}};
};
template <>
struct OneBit<3, 4> {
  static constexpr uint8_t kLevels[2][4] = {{13, 41, 75, 127}, {10, 30, 55, 94}};
};
template <>
struct OneBit<3, 8> {
  static constexpr uint8_t kLevels[2][4] = {{14, 43, 77, 127}, {10, 31, 56, 93}};
};
template <>
struct OneBit<4, 2> {
  static constexpr uint8_t kLevels[2][8] = {{5, 17, 31, 48, 61, 78, 101, 127},
                                            {4, 12, 21, 33, 42, 54, 70, 88}};
};
template <>
struct OneBit<4, 4> {
  static constexpr uint8_t kLevels[2][8] = {{6, 18, 32, 46, 60, 78, 101, 127},
                                            {4, 13, 22, 32, 42, 54, 70, 88}};
};
template <>
struct OneBit<4, 8> {
  static constexpr uint8_t kLevels[2][8] = {{6, 18, 32, 46, 61, 78, 101, 127},
                                            {4, 13, 22, 32, 42, 55, 71, 89}};
};

}  // namespace bitloom::levels
