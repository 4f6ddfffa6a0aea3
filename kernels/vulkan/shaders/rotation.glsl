// R = H·diag(s)/√32 over 32 values, and its inverse diag(s)·H/√32: H is the natural-order Hadamard
// matrix, s a fixed pattern of signs (core/codecs/tq/rotation.h).
const float kRotationNorm = 0.17677669;

// −1 where the top bit of i · 0x9E3779B9 is set.
float rotationSign(uint i) { return (i * 0x9E3779B9u) >> 31 != 0u ? -1.0 : 1.0; }

// Sums and differences of values `stride` apart; written out, since compilers unroll loops only
// whose counter steps evenly.
#define HADAMARD_LEVEL(stride)                                          \
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {                          \
    const uint left = i / (stride) * 2u * (stride) + i % (stride);      \
    const float a = v[left];                                            \
    const float b = v[left + (stride)];                                 \
    v[left] = a + b;                                                    \
    v[left + (stride)] = a - b;                                         \
  }

void hadamard(inout float v[32]) {
  HADAMARD_LEVEL(1u)
  HADAMARD_LEVEL(2u)
  HADAMARD_LEVEL(4u)
  HADAMARD_LEVEL(8u)
  HADAMARD_LEVEL(16u)
}

void rotate(inout float v[32]) {
  [[unroll]] for (uint i = 0u; i < 32u; ++i) v[i] *= rotationSign(i);
  hadamard(v);
  [[unroll]] for (uint i = 0u; i < 32u; ++i) v[i] *= kRotationNorm;
}

void unrotate(inout float v[32]) {
  hadamard(v);
  [[unroll]] for (uint i = 0u; i < 32u; ++i) v[i] *= rotationSign(i) * kRotationNorm;
}
