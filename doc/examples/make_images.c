/* SPDX-License-Identifier: MIT */
/*
 * Makes pictures for 03_resize_images: COUNT good ones, JPEG and PNG in turn,
 * and four that are trouble: one cut off, one that is text, and two whose comment
 * asks the resizer (--faults) to crash and to hang.
 *
 *	make_images COUNT DIRECTORY
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>
#include <png.h>

enum { WIDTH = 1280, HEIGHT = 960, QUALITY = 90, NAME_SIZE = 4096 };

static unsigned char pixels[HEIGHT][WIDTH][3];

/* A gradient with rings and some noise, another one for each seed. */
static void pixels_draw(unsigned seed)
{
	uint32_t noise = seed * 2654435761u + 1;
	int cx = (int)(seed * 97 % WIDTH), cy = (int)(seed * 57 % HEIGHT);

	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++) {
			int r2 = (x - cx) * (x - cx) + (y - cy) * (y - cy);

			noise = noise * 1664525 + 1013904223;
			pixels[y][x][0] = (unsigned char)(x * 255 / WIDTH);
			pixels[y][x][1] = (unsigned char)(y * 255 / HEIGHT + (noise >> 30));
			pixels[y][x][2] = (unsigned char)(r2 >> 8);
		}
}

static void die(const char *name)
{
	perror(name);
	exit(1);
}

/* libjpeg's own error handler ends the program, which suits this one. */
static void jpeg_make(const char *name, const char *comment)
{
	struct jpeg_compress_struct info;
	struct jpeg_error_mgr err;
	FILE *f = fopen(name, "wb");

	if (!f)
		die(name);
	info.err = jpeg_std_error(&err);
	jpeg_create_compress(&info);
	jpeg_stdio_dest(&info, f);
	info.image_width = WIDTH;
	info.image_height = HEIGHT;
	info.input_components = 3;
	info.in_color_space = JCS_RGB;
	jpeg_set_defaults(&info);
	jpeg_set_quality(&info, QUALITY, TRUE);
	jpeg_start_compress(&info, TRUE);
	if (comment)
		jpeg_write_marker(&info, JPEG_COM, (const JOCTET *)comment,
				  (unsigned)strlen(comment));
	while (info.next_scanline < HEIGHT) {
		JSAMPROW row = &pixels[info.next_scanline][0][0];

		jpeg_write_scanlines(&info, &row, 1);
	}
	jpeg_finish_compress(&info);
	jpeg_destroy_compress(&info);
	if (fclose(f))
		die(name);
}

static void png_make(const char *name)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = WIDTH,
		.height = HEIGHT,
		.format = PNG_FORMAT_RGB,
	};

	if (!png_image_write_to_file(&image, name, 0, pixels, 0, NULL))
		die(name);
}

static const char *name_in(const char *dir, const char *format, unsigned i)
{
	static char name[NAME_SIZE];
	int n = snprintf(name, sizeof(name), "%s/", dir);

	snprintf(name + n, sizeof(name) - (size_t)n, format, i);
	return name;
}

static void text_make(const char *name)
{
	FILE *f = fopen(name, "w");

	if (!f || fputs("This is not a picture.\n", f) < 0 || fclose(f))
		die(name);
}

int main(int argc, char **argv)
{
	unsigned count, i;
	const char *dir, *cut;

	if (argc != 3 || strlen(argv[2]) > NAME_SIZE / 2) {
		fprintf(stderr, "usage: make_images COUNT DIRECTORY\n");
		return 2;
	}
	count = (unsigned)strtoul(argv[1], NULL, 10);
	dir = argv[2];
	for (i = 0; i < count; i++) {
		pixels_draw(i);
		if (i % 2)
			png_make(name_in(dir, "good-%04u.png", i));
		else
			jpeg_make(name_in(dir, "good-%04u.jpg", i), NULL);
	}
	pixels_draw(count);
	jpeg_make(name_in(dir, "trouble-crash.jpg", 0), "forkpool: crash");
	jpeg_make(name_in(dir, "trouble-hang.jpg", 0), "forkpool: hang");
	text_make(name_in(dir, "trouble-text.png", 0));
	cut = name_in(dir, "trouble-cut.jpg", 0);
	jpeg_make(cut, NULL);
	if (truncate(cut, 20000))
		die(cut);
	return 0;
}
