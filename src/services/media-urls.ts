/** placeholder until written */
export interface MediaUrls {
  urlFor(
    video: {
      readonly teamId: string;
      readonly videoId: string;
      readonly fileName: string;
      readonly kind: 'original';
    },
    now?: Date,
  ): { readonly url: string; readonly expiresAt: Date };
  verify(token: string, now?: Date): { readonly teamId: string; readonly videoId: string } | null;
}
