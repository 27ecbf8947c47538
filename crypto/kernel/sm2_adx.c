/* The curve for x86-64 processors with BMI2, ADX and AVX2 (Intel since 2014, AMD since 2017). */
#if defined(__x86_64__)
#define SM2_FIELD_ADX
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi2,adx"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi2,adx")
#endif
#include "sm2_point.h"

const sm2_curve sm2_curve_adx = SM2_CURVE_TABLE("bmi2+adx");

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
typedef int sm2_adx_not_for_this_processor;
#endif
