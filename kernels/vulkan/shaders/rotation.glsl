// R = H·diag(s)/√32 over 32 values, and its inverse diag(s)·H/√32: H is the natural-order Hadamard
// matrix, s a fixed pattern of signs (core/codecs/tq/rotation.h).
const float kRotationNorm = 0.17677669;

// −1 where the top bit of i · 0x9E3779B9 is set.
float rotationSign(uint i) { return (i * 0x9E3779B9u) >> 31 != 0u ? -1.0 : 1.0; }

void hadamard(inout float v[32]) {
  [[unroll]] for (uint stride = 1u; stride < 32u; stride *= 2u) {
    [[unroll]] for (uint i = 0u; i < 32u; ++i) {
      if ((i & stride) != 0u) continue;
      const float a = v[i];
      const float b = v[i + stride];
      v[i] = a + b;
      v[i + stride] = a - b;
    }
  }
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
