#define BITS 2
#define GROUP 8u
#define LEVELS0 0x00007f24u
#define LEVELS1 0x00005117u
#include "layouts/tq_1b.glsl"
