// As much of stb_image.h as a generated program calls, declared for a compiler to check it against.
#pragma once

unsigned char* stbi_load_from_memory(
    const unsigned char* bytes, int size, int* width, int* height, int* channels, int wanted);
const char* stbi_failure_reason(void);
void stbi_image_free(void* pixels);
